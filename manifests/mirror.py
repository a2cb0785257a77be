"""The mirror manifest: a steward's declaration of what to copy, from where, how often, and kept how long.

One YAML file, one mirror. docs/writing-a-manifest.md describes every key, and `mirror.schema.json` does for editors.
"""

import json
import re
from collections.abc import Callable, Iterable
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pathspec import GitIgnoreSpec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from manifests import yaml
from manifests.stat import UnsafePath, check_path
from manifests.units import format_size, parse_duration, parse_rate, parse_size

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
SCHEMES = ("http", "https", "s3", "file")
S3_KEYS = ("endpoint", "region", "anonymous", "profile", "requester_pays")

Problem = yaml.Problem


class ManifestError(yaml.YamlError):
    """A manifest that is wrong; its text is one `file:line:column: where: what: todo` line for each problem."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, use_attribute_docstrings=True)


def _human(parse: Callable[[Any], Any], example: str) -> Any:
    return BeforeValidator(parse), WithJsonSchema({"type": ["string", "integer"], "examples": [example]})


Rate = Annotated[int, *_human(parse_rate, "50 MB/s"), Field(gt=0)]
Duration = Annotated[float, *_human(parse_duration, "30d"), Field(gt=0)]


class Window(_Part):
    """The hours in which transfers may run, in a time zone."""

    begins: time
    ends: time
    timezone: str

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, text: Any) -> Any:
        match = (
            re.fullmatch(r"\s*(\d{1,2}:\d{2})\s*-\s*(\d{1,2}:\d{2})\s+(\S+)\s*", text)
            if isinstance(text, str)
            else None
        )
        if match is None:
            raise ValueError(f'{text!r} is not a window: write it as "20:00-06:00 Asia/Shanghai"')
        try:
            begins, ends = (datetime.strptime(part, "%H:%M").time() for part in (match[1], match[2]))  # noqa: DTZ007  a time of day
        except ValueError as error:
            raise ValueError(f"{text!r} is not a window: hours run from 00:00 to 23:59") from error
        return {"begins": begins, "ends": ends, "timezone": _zone(match[3])}

    def is_open(self, now: datetime) -> bool:
        """Tell whether transfers may run; `now` with its zone."""
        at = now.astimezone(ZoneInfo(self.timezone)).time()
        if self.begins <= self.ends:
            return self.begins <= at < self.ends
        return at >= self.begins or at < self.ends

    def opens_in(self, now: datetime) -> float:
        """Return the seconds until transfers may run; 0.0 if they may now."""
        if self.is_open(now):
            return 0.0
        local = now.astimezone(ZoneInfo(self.timezone))
        opening = datetime.combine(local.date(), self.begins, ZoneInfo(self.timezone))
        if opening <= local:
            opening = datetime.combine(local.date() + timedelta(days=1), self.begins, ZoneInfo(self.timezone))
        return opening.timestamp() - now.timestamp()


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(
            f"{name!r} is not a time zone: write one of the IANA names, as Asia/Shanghai or UTC"
        ) from error
    return name


class Limits(_Part):
    """How much of upstream's patience we may use; without it the level is found."""

    connections: Annotated[int, Field(ge=1, le=256)] | None = None
    """At most this many requests at once."""
    rate: Rate | None = None
    """At most this many bytes a second."""
    window: Annotated[Window, WithJsonSchema({"type": "string", "examples": ["20:00-06:00 Asia/Shanghai"]})] | None = (
        None
    )
    """Only in these hours."""


class Source(_Part):
    """A mirror's upstream."""

    url: str
    """Where the dataset lies: http(s)://, s3://bucket/prefix/ or file:///folder/; ends in a slash."""
    reader: str | None = Field(default=None, validate_default=True)
    """How upstream says what it has: checksums, autoindex or objects."""
    checksums: tuple[str, ...] = ()
    """Checksum lists, relative to the url; for autoindex, globs of lists found on the way."""
    include: tuple[str, ...] = ("**",)
    """Globs of the paths to mirror, as in .gitignore."""
    exclude: tuple[str, ...] = ()
    """Globs of the paths to leave out; they win."""
    credentials: str | None = None
    """The name of a credential in the daemon's configuration; a secret never stands here."""
    limits: Limits = Limits()
    endpoint: str | None = None
    """S3: the server, where it is not AWS."""
    region: str | None = None
    """S3: the bucket's region."""
    anonymous: bool = False
    """S3: ask without signing."""
    profile: str | None = None
    """S3: a profile of the AWS configuration."""
    requester_pays: bool = False
    """S3: we pay for requests and bytes."""

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise ValueError(f"{url!r} is not a url ({error}): write it as https://host/folder/") from error
        if parts.scheme not in SCHEMES:
            raise ValueError(f"{url!r} has no scheme we know: use one of {', '.join(SCHEMES)}")
        if parts.username is not None or parts.password is not None:
            raise ValueError("a secret stands in the url: put it into syncd.yaml and name it under credentials")
        if parts.fragment or parts.query:
            raise ValueError(f"{url!r} has a query or fragment: give the plain address of the folder")
        if parts.scheme != "file" and not parts.netloc:
            raise ValueError(f"{url!r} names no host: write it as {parts.scheme}://host/folder/")
        return url if parts.path.endswith("/") else url + "/"

    @field_validator("include", "exclude")
    @classmethod
    def _globs(cls, globs: tuple[str, ...]) -> tuple[str, ...]:
        for glob in globs:
            try:
                GitIgnoreSpec.from_lines([glob])
            except ValueError as error:
                raise ValueError(f"{glob!r} is not a glob: write it as in .gitignore, for example **/*.tif") from error
        return globs

    @field_validator("reader")
    @classmethod
    def _reader(cls, reader: str | None, info: Any) -> str | None:
        if reader is not None:
            return reader
        return "autoindex" if str(info.data.get("url", "")).startswith("http") else "objects"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        scheme = urlsplit(self.url).scheme
        if scheme != "s3" and (strange := [key for key in S3_KEYS if getattr(self, key)]):
            raise ValueError(f"{strange[0]} does not go with a {scheme} url: it is for s3:// sources")
        if self.reader == "checksums" and not self.checksums:
            raise ValueError("the reader checksums needs a list: add checksums: [SHA256SUMS.txt]")
        if self.reader == "objects" and scheme.startswith("http"):
            raise ValueError("http has no native listing: use the reader autoindex or checksums")
        if self.reader == "objects" and self.checksums:
            raise ValueError("the reader objects reads no lists: use the reader checksums, or drop checksums")
        if self.reader == "autoindex" and not scheme.startswith("http"):
            raise ValueError(f"an index page is for http: use the reader objects with a {scheme} url")
        return self


class Placement(_Part):
    """Where the copy lies in the store."""

    prefix: str | None = None
    """The folder of this mirror; its own name by default."""

    @field_validator("prefix")
    @classmethod
    def _prefix(cls, prefix: str | None) -> str | None:
        if prefix is None:
            return None
        try:
            return check_path(prefix.rstrip("/")) + "/"
        except UnsafePath as error:
            raise ValueError(f"{error}: give a plain folder, as physionet/mitdb/1.0.0/") from error


class Schedule(_Part):
    """When passes run; on demand without it."""

    every: Duration | None = None
    """The time between two passes."""
    cron: str | None = None
    """Or a cron line of five fields."""
    timezone: str = "UTC"
    """The zone of the cron line."""

    _check_zone = field_validator("timezone")(staticmethod(_zone))

    @field_validator("cron")
    @classmethod
    def _cron(cls, line: str | None) -> str | None:
        if line is not None:
            try:
                CronSim(line, datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")))
            except CronSimError as error:
                raise ValueError(f'{line!r} is not a cron line ({error}): write five fields, as "0 3 * * *"') from error
        return line

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.every is None) == (self.cron is None):
            raise ValueError("give exactly one of every and cron: as {every: 6h}")
        return self


class Guard(_Part):
    """What must be approved before it happens."""

    max_removed: Annotated[str, WithJsonSchema({"type": ["string", "integer"], "examples": ["10%", 100, "5 GB"]})] = (
        "10%"
    )
    """Removals in one pass over this are parked: a percentage of files or bytes, a number of files, or bytes."""

    @field_validator("max_removed", mode="before")
    @classmethod
    def _share(cls, value: Any) -> str:
        text = str(value).strip()
        if re.fullmatch(r"\d+", text):
            return text
        if re.fullmatch(r"\d+(\.\d+)?\s*%", text) and float(text.rstrip("% ")) <= 100:
            return text
        try:
            parse_size(text)
        except ValueError as error:
            raise ValueError(f"{value!r} is no measure of removals: write 10%, a number of files, or 5 GB") from error
        return text

    def holds(self, removed_files: int, removed_bytes: int, files: int, size: int) -> str | None:
        """Return why these removals, of a mirror of `files` and `size` bytes, must be approved first; or None."""
        text = self.max_removed
        if removed_files == 0:
            return None
        if removed_files >= files:
            return f"all {files} files would go"
        if text.endswith("%"):
            share = float(text.rstrip("% ")) / 100
            for removed, whole, unit in ((removed_files, files, "files"), (removed_bytes, size, "bytes")):
                if removed > whole * share:
                    return f"{removed} of {whole} {unit} would go, more than {text}"
            return None
        if text.isdigit():
            return f"{removed_files} files would go, more than {text}" if removed_files > int(text) else None
        if removed_bytes > parse_size(text):
            return f"{format_size(removed_bytes)} would go, more than {text}"
        return None


class Keep(_Part):
    """How long what is replaced or removed can be had back."""

    versions: Annotated[int, Field(ge=0, le=1000)] = 2
    """Earlier snapshots that stay whole."""
    removed: Duration = 30 * 86400.0
    """How long files stay that upstream removed."""


class Verify(_Part):
    """How much proof is asked for."""

    require: Literal["any", "published"] = "any"
    """`published` refuses files for which upstream publishes no digest."""
    scrub: Duration = 30 * 86400.0
    """Every stored byte is read again at least this often."""


class About(_Part):
    """What people should know of the dataset."""

    licence: str = ""
    citation: str = ""
    contact: str = ""
    access: str = "open"


class Mirror(_Part):
    """A mirror manifest."""

    name: Annotated[str, Field(alias="mirror")]
    """The mirror's name, unique: lower-case letters, digits and hyphens."""
    title: str = ""
    source: Source
    store: Placement = Placement()
    schedule: Schedule | None = None
    guard: Guard = Guard()
    keep: Keep = Keep()
    verify: Verify = Verify()
    about: About = About()

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        if NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is not a name: use 1 to 63 of a-z, 0-9 and -, not beginning with -")
        return name

    @property
    def prefix(self) -> str:
        """Where the copy lies in the store; ends in one slash."""
        return self.store.prefix if self.store.prefix is not None else f"{self.name}/"


def load_mirror(text: str, file: str) -> Mirror:
    """Return the mirror that a manifest's text declares. Raises ManifestError with every problem of the file."""
    try:
        return yaml.load(Mirror, text, file)
    except yaml.YamlError as error:
        raise ManifestError(list(error.problems)) from error


def overlaps(mirrors: Iterable[Mirror]) -> list[str]:
    """Return a sentence for each two mirrors that would write into one another's folder, or share a name."""
    found, seen = [], list[Mirror]()
    for mirror in mirrors:
        for other in seen:
            if mirror.name == other.name:
                found.append(f"{mirror.name} is declared twice")
            elif mirror.prefix.startswith(other.prefix) or other.prefix.startswith(mirror.prefix):
                found.append(f"{mirror.name} and {other.name} overlap: {mirror.prefix} and {other.prefix}")
        seen.append(mirror)
    return found


def matcher(include: tuple[str, ...], exclude: tuple[str, ...]) -> Callable[[str], bool]:
    """Return the test of whether a path is wanted; gitignore-style globs, exclude wins."""
    if include == ("**",) and not exclude:
        return _everything
    wanted, unwanted = GitIgnoreSpec.from_lines(include), GitIgnoreSpec.from_lines(exclude)
    if include == ("**",):
        return lambda path: not unwanted.match_file(path)
    return lambda path: wanted.match_file(path) and not unwanted.match_file(path)


def _everything(path: str) -> bool:  # noqa: ARG001  the test that costs nothing
    return True


def schema() -> dict[str, Any]:
    """Return the JSON Schema by which editors complete a manifest."""
    found = Mirror.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": "syncd mirror manifest"}


if __name__ == "__main__":
    Path(__file__).with_name("mirror.schema.json").write_text(json.dumps(schema(), indent=2) + "\n", "utf-8")
