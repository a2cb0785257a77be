"""A Mirror: what a steward declares about the copy of a dataset, validated before any request is sent.

Rules:
1. Strict: a key that is unknown, useless or does not fit the source is rejected, with its position and a remedy.
2. Manifests contain no secrets; `credentials` names a credential of the daemon's configuration.
3. Defaults do no harm: a folder of its own, no schedule, a limit on deletions.

docs/writing-a-manifest.md describes every key; `python -m manifests.model.mirror` writes the schema
for editors.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    field_serializer,
    model_validator,
)

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model.about import About
from manifests.model.advice import advice_on
from manifests.model.field_types import Count, Cron, Duration, Flag, Text, Zone
from manifests.model.globs import everything, matcher
from manifests.model.publish import Publish, publish_faults
from manifests.model.removal_guard import Guard
from manifests.model.source import Limits, Source
from manifests.model.windows import next_cron, parse_zone
from manifests.origins import SCHEMES
from manifests.reading import ReaderKind, built_in, installed
from manifests.stat import UnsafePath, check_path, fold
from manifests.yaml import STRICT, KeyConflict, ManifestError, ManifestProblem, load, validated

__all__ = [
    "About",
    "Guard",
    "Keep",
    "Limits",
    "ManifestError",
    "ManifestProblem",
    "Mirror",
    "Placement",
    "Publish",
    "Schedule",
    "Source",
    "Verify",
    "everything",
    "load_mirror",
    "matcher",
    "overlaps",
    "schema",
]  # fmt: skip

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_DAY = 86_400.0
MARK = "# TO FILL IN:"
MAX_SOURCES = 8


def _name(given: Any) -> Any:
    if isinstance(given, str) and _NAME.fullmatch(given) is None:
        raise InvalidValue(
            message("is not a mirror's name"),
            message("use a-z, 0-9 and -, at most 63, beginning with a letter or a digit"),
        )
    return given


def _prefix(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return check_path(given.rstrip("/")) + "/"
    except UnsafePath as error:
        raise InvalidValue(
            message("is not a path in the store ({cause})", cause=error),
            message("write it as in physionet/mitdb/1.0.0/"),
        ) from error


class Placement(BaseModel):
    """Where in the store the copy lies."""

    model_config = STRICT

    prefix: Annotated[str, BeforeValidator(_prefix)] | None = None
    """The folder of this mirror in the store, which no other mirror shares; by default the mirror's name."""


class Schedule(BaseModel):
    """When passes run: `every` interval, by `cron`, or `after` other mirrors. Without a schedule, on demand."""

    model_config = STRICT

    every: Duration | None = None
    """The time from the beginning of one pass to the next."""
    cron: Cron | None = None
    """Minute, hour, day of month, month, day of week."""
    timezone: Zone = "UTC"
    """The time zone of cron."""
    after: tuple[Annotated[str, BeforeValidator(_name)], ...] = ()
    """Mirrors of this daemon: a pass runs once each of them has completed one since this mirror's last pass began."""
    fresh_within: Duration | None = None
    """How old the copy may become before it counts as stale; by default 1.5 times the longest interval."""

    def next_after(self, moment: datetime) -> datetime:
        """Return when the next pass is due after `moment` (aware of its zone)."""
        if self.cron is not None:
            return next_cron(self.cron, parse_zone(self.timezone), moment)
        assert self.every is not None
        return moment + timedelta(seconds=self.every)

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return validated(raw, handler, tuple(_schedule_clashes(raw)) if isinstance(raw, Mapping) else ())


def _schedule_clashes(raw: Mapping[str, Any]) -> Iterator[KeyConflict]:
    every, cron, after = (raw.get(key) is not None and raw.get(key) != [] for key in ("every", "cron", "after"))
    if every and cron:
        yield KeyConflict("cron", message("cannot be combined with {key}", key="every"), message("keep one of the two"))
    if after and (every or cron):
        yield KeyConflict(
            "after",
            message("cannot be combined with {key}", key="every" if every else "cron"),
            message("keep one of the two"),
        )
    if not every and not cron and not after:
        todo = message('write {every: 6h}, {cron: "0 3 * * *"} or {after: [another-mirror]}, or delete schedule')
        yield KeyConflict("", message("has none of every, cron and after"), todo)
    if not cron and raw.get("timezone") not in {None, "UTC"}:
        yield KeyConflict("timezone", message("has no effect without cron"), message("delete it; it is for cron"))


class Keep(BaseModel):
    """How long replaced and deleted files can be restored."""

    model_config = STRICT

    versions: Annotated[Count, Field(ge=0, le=1_000)] = 2
    """How many snapshots before the current one are kept complete, whatever their age."""
    replaced: Duration = Field(default=14 * _DAY, json_schema_extra={"default": "14d"})
    """How long a snapshot is kept complete after the next one took its place."""
    removed: Duration = Field(default=30 * _DAY, json_schema_extra={"default": "30d"})
    """How long files that upstream deleted are kept."""


class Verify(BaseModel):
    """Which proof is required."""

    model_config = STRICT

    require: Literal["any", "published"] = "any"
    """`published` rejects a file for which upstream publishes no checksum; `any` accepts it and marks it `attested`."""
    scrub: Duration = Field(default=30 * _DAY, json_schema_extra={"default": "30d"})
    """How often every stored byte is read again (fixity check)."""


def _several(given: Any) -> Any:
    return list(given) if isinstance(given, list | tuple) else [given]


def _source_clashes(raw: Mapping[str, Any]) -> Iterator[KeyConflict]:
    """Yield the faults of a list of sources as a whole."""
    given = raw.get("source")
    if not isinstance(given, list | tuple):
        if raw.get("choose") is not None and raw.get("choose") != "first":
            yield KeyConflict(
                "choose", message("applies only to several sources"), message("delete it, or write source as a list")
            )
        return
    if not given:
        yield KeyConflict("source", message("is empty"), message("name at least one source"))
    if len(given) > MAX_SOURCES:
        yield KeyConflict(
            "source",
            message("has more than {max_sources} sources", max_sources=MAX_SOURCES),
            message("keep the most reliable ones"),
        )
    urls = [str(one.get("url", "")).rstrip("/") if isinstance(one, Mapping) else "" for one in given]
    if len(set(urls)) < len(urls):
        yield KeyConflict("source", message("names the same url twice"), message("delete one of the two"))


class Mirror(BaseModel):
    """What to copy, from where, how often, and how long to keep it."""

    model_config = STRICT

    name: Annotated[str, BeforeValidator(_name)] = Field(
        alias="mirror", json_schema_extra={"pattern": f"^{_NAME.pattern}$"}
    )
    """The mirror's name, unique in a daemon: a-z, 0-9 and -, at most 63."""
    title: Text = ""
    """The title of the dataset."""
    enabled: Flag = True
    """Whether passes run; `false` keeps the copy as it is, and asks upstream for nothing."""
    sources: Annotated[tuple[Source, ...], BeforeValidator(_several)] = Field(alias="source")
    """The upstream, or a list of several with the same dataset, the preferred one first."""
    choose: Literal["first", "fastest"] = "first"
    """Which of several sources is asked first for a file: the first in the list, or the fastest."""
    store: Placement = Placement()
    """Where in the store the copy lies."""
    schedule: Schedule | None = None
    """When passes run; absent: on demand."""
    guard: Guard = Guard()
    """Which deletions must be approved first."""
    keep: Keep = Keep()
    """How long replaced and deleted files are kept."""
    verify: Verify = Verify()
    """Which proof is required."""
    about: About = About()
    """A description of the dataset."""
    publish: Publish | None = None
    """Who may read the copy, and how it is described to others; absent: the mirror is private."""

    @property
    def source(self) -> Source:
        """Return the source that determines the inventory: the first one."""
        return self.sources[0]

    @field_serializer("sources", mode="wrap")
    def _one_or_several(self, sources: tuple[Source, ...], handler: SerializerFunctionWrapHandler) -> Any:
        """Write a single source as in the manifest, not as a list of one."""
        written = handler(sources)
        return written[0] if len(written) == 1 else written

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(raw, Mapping):
            return validated(raw, handler, ())
        return validated(raw, handler, tuple(_source_clashes(raw)), publish_faults(raw))

    @property
    def prefix(self) -> str:
        """Return where the copy lies in the store; it ends in one slash."""
        return self.store.prefix or f"{self.name}/"


def load_mirror(
    text: str | bytes,
    file: str,
    *,
    readers: Mapping[str, ReaderKind] | None = None,
    schemes: Iterable[str] = SCHEMES,
) -> Mirror:
    """Return the mirror that a manifest declares; raises ManifestError with every problem of the file.

    `readers` (by default all that are installed) and `schemes` are the known ones, plug-ins included. Only the reader
    that the manifest names is loaded.
    """
    readers = readers if readers is not None else installed()
    mirror = load(text, file, Mirror, {"readers": readers, "schemes": frozenset(schemes)}, advice_on(Mirror))
    if mirror.enabled and (marks := unfilled(text)):
        raise ManifestError(
            tuple(
                ManifestProblem(
                    file,
                    line,
                    1,
                    "file",
                    message("is still to be filled in: {what}", what=what),
                    message("fill it in and delete this line, or write enabled: false"),
                )
                for line, what in marks
            )
        )
    return mirror


def unfilled(text: str | bytes) -> list[tuple[int, str]]:
    """Return the marks in a manifest that a steward must fill in, each with its line: `# TO FILL IN: …`."""
    lines = (text if isinstance(text, str) else text.decode("utf-8", "replace")).splitlines()
    return [(number, line[len(MARK) :].strip()) for number, line in enumerate(lines, 1) if line.startswith(MARK)]


def overlaps(mirrors: Iterable[Mirror]) -> list[str]:
    """Return a sentence for each mirror that shares its name with another, or would write into its folder.

    Folders are equal if a case-insensitive file system would merge them.
    """
    told: list[str] = []
    names: set[str] = set()
    above: list[tuple[str, Mirror]] = []  # the folders around this one, outermost first
    for folder, mirror in sorted(((fold(mirror.prefix), mirror) for mirror in mirrors), key=lambda one: one[0]):
        while above and not folder.startswith(above[-1][0]):
            above.pop()
        if mirror.name in names:
            told.append(message("{name}: two manifests declare this mirror: rename one", name=mirror.name))
        elif above:
            other = above[-1][1]
            both = message("{prefix} and {other} of {name}", prefix=mirror.prefix, other=other.prefix, name=other.name)
            told.append(
                message(
                    "{name}: its folder overlaps another's, {both}: give one of them another store.prefix",
                    name=mirror.name,
                    both=both,
                )
            )
        names.add(mirror.name)
        above.append((folder, mirror))
    return told


def schema() -> dict[str, Any]:
    """Return the JSON Schema by which editors complete a manifest."""
    found: dict[str, Any] = Mirror.model_json_schema(by_alias=True)
    readers = built_in()
    several = found["properties"]["source"]
    one = several.pop("items")
    listed = {"type": several.pop("type"), "items": one, "minItems": 1, "maxItems": MAX_SOURCES}
    several["anyOf"] = [one, listed]
    source = found["$defs"]["Source"]["properties"]
    source["reader"]["examples"] = [*readers]
    source.update(_options_schema(readers, found["$defs"]))
    found = without_null(found)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://syncd.example/docs/reference/mirror.schema.json",
        **found,
        "title": "syncd mirror manifest",
    }


def _options_schema(readers: Mapping[str, ReaderKind], parts: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the keys that readers add to a source; each names its reader."""
    by_key: dict[str, dict[str, Any]] = {}
    for name, kind in readers.items():
        options = kind.options.model_json_schema(by_alias=True)
        for part, definition in options.get("$defs", {}).items():
            if parts.setdefault(part, definition) != definition:
                raise ValueError(
                    message(
                        "{name}: {part}: another reader has a part of that name: give it one of its own",
                        name=name,
                        part=part,
                    )
                )
        for key, one in options.get("properties", {}).items():
            by_key.setdefault(key, {})[name] = one
    return {key: _shared(key, by_reader) for key, by_reader in sorted(by_key.items())}


def _shared(key: str, by_reader: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the schema of one key of one or several readers."""
    told = "\n".join(f"Reader {name}: {one.get('description', '')}" for name, one in by_reader.items())
    kinds = [{word: value for word, value in one.items() if word != "description"} for one in by_reader.values()]
    bodies = [kind for number, kind in enumerate(kinds) if kind not in kinds[:number]]
    if len(bodies) == 1:
        return {**bodies[0], "description": told}
    return {"anyOf": bodies, "title": key.replace("_", " ").capitalize(), "description": told}


def without_null(part: Any) -> Any:
    """Return a schema without null: a key without a value is not written."""
    if isinstance(part, list):
        return [without_null(one) for one in part]
    if not isinstance(part, dict):
        return part
    left = {key: without_null(one) for key, one in part.items() if not (key == "default" and _says_nothing(one))}
    choices = [one for one in left.pop("anyOf", []) if one != {"type": "null"}]
    if len(choices) == 1:
        return {**choices[0], **left}
    return {**left, "anyOf": choices} if choices else left


def _says_nothing(default: Any) -> bool:
    return default in (None, "") or isinstance(default, dict)  # a part's default is that of its keys


if __name__ == "__main__":
    Path(__file__).parents[1].joinpath("mirror.schema.json").write_text(json.dumps(schema(), indent=2) + "\n", "utf-8")
