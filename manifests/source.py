"""A mirror's Source: where upstream is, how it says what it has, what of it is wanted, and how hard we may ask.

Keys that fit neither the url's scheme nor the reader are refused: they would be dead words that look as if they worked.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, Field, ModelWrapValidatorHandler, ValidationInfo, model_validator

from manifests.addresses import SCHEMES, check_folder_url, origin
from manifests.checked import STRICT, Clash, checked, nearest
from manifests.fields import MAX_CONNECTIONS, Count, Flag, Glob, Hours, Rate
from manifests.globs import matcher
from manifests.stat import UnsafePath, check_path
from manifests.unfit import Unfit

READERS = frozenset({"checksums", "autoindex", "objects"})
_READER_OF = {"s3": "objects", "file": "objects", "http": "autoindex", "https": "autoindex"}
_S3_KEYS = ("endpoint", "region", "profile", "anonymous", "requester_pays")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def _named(given: Any) -> Any:
    if isinstance(given, str) and _WORD.fullmatch(given) is None:
        raise Unfit("is not a name", "write a name of syncd.yaml, letters, digits, ., _ and -; never the secret")
    return given


def _region(given: Any) -> Any:
    if isinstance(given, str) and _WORD.fullmatch(given) is None:
        raise Unfit("is not a region", "write it as in us-east-1")
    return given


def _folder(given: Any, info: ValidationInfo) -> Any:
    schemes = frozenset((info.context or {}).get("schemes", SCHEMES))
    return check_folder_url(given, schemes) if isinstance(given, str) else given


def _endpoint(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    return check_folder_url(given, frozenset({"http", "https"})).rstrip("/")


class Limits(BaseModel):
    """How hard we may ask. What is not said here, the governor finds by itself."""

    model_config = STRICT

    connections: Annotated[Count, Field(ge=1, le=MAX_CONNECTIONS)] | None = None
    """The most requests at once."""
    rate: Rate | None = None
    """The most bytes a second."""
    window: Hours | None = None
    """The hours of the day in which bytes may move."""


class Source(BaseModel):
    """The upstream of a mirror."""

    model_config = STRICT

    url: Annotated[str, BeforeValidator(_folder)]
    """The folder to mirror: https://, http://, s3://bucket/prefix/ or file:///folder/."""
    reader: str = Field(default="", json_schema_extra={"examples": [*sorted(READERS)]})
    """How upstream says what it has: checksums, autoindex or objects; by default what fits the url."""
    checksums: tuple[str, ...] = ()
    """Checksum lists: paths below the url (reader checksums), or globs of lists found on the way (reader autoindex)."""
    include: tuple[Glob, ...] = Field(default=("**",), json_schema_extra={"minItems": 1})
    """Globs, as in .gitignore, of the paths wanted."""
    exclude: tuple[Glob, ...] = ()
    """Globs of the paths not wanted; they win over include."""
    credentials: Annotated[str, BeforeValidator(_named)] | None = None
    """The name of a credential in syncd.yaml; a secret never stands here."""
    limits: Limits = Limits()
    """How hard we may ask."""
    endpoint: Annotated[str, BeforeValidator(_endpoint)] | None = None
    """S3 only: the server's url, where it is not AWS."""
    region: Annotated[str, BeforeValidator(_region)] | None = None
    """S3 only: the bucket's region."""
    anonymous: Flag = False
    """S3 only: ask without signing, as public buckets allow."""
    profile: Annotated[str, BeforeValidator(_named)] | None = None
    """S3 only: a profile of the AWS configuration."""
    requester_pays: Flag = False
    """S3 only: agree to pay for requests and bytes."""

    @property
    def scheme(self) -> str:
        """Return what picks the Transport."""
        return self.url.partition("://")[0]

    @property
    def origin(self) -> str:
        """Return what credentials and limits are bound to: `https://host[:port]`, `s3://bucket`."""
        return origin(self.url, frozenset({self.scheme}))

    @model_validator(mode="wrap")
    @classmethod
    def _whole(cls, raw: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        if not isinstance(raw, Mapping):
            return handler(raw)
        scheme = str(raw.get("url", "")).partition("://")[0].lower()
        if not raw.get("reader") and scheme in _READER_OF:
            raw = {**raw, "reader": _READER_OF[scheme]}
        readers = frozenset((info.context or {}).get("readers", READERS))
        if not raw.get("reader") and scheme in (info.context or {}).get("schemes", ()):
            missing = Clash("", f"names no reader, and {scheme} has none of its own", "add reader: to it")
            return checked(raw, handler, (missing, *_scheme_clashes(raw, scheme)))
        return checked(raw, handler, (*_scheme_clashes(raw, scheme), *_reader_clashes(raw, scheme, readers)))


def _scheme_clashes(raw: Mapping[str, Any], scheme: str) -> Iterator[Clash]:
    given = {key for key, value in raw.items() if value is not None and value is not False}
    if scheme in _READER_OF and scheme != "s3":
        for key in _S3_KEYS:
            if key in given:
                yield Clash(key, f"does not go with a {scheme} url", "delete it; it is for s3:// urls")
    if scheme == "file" and "credentials" in given:
        yield Clash("credentials", "does not go with a file url", "delete it; the daemon's user must be able to read")
    for key in ("include", "exclude"):
        globs = raw.get(key)
        if key == "include" and globs in ([], ()):
            yield Clash(key, "is empty, so nothing would be mirrored", "name what is wanted, or delete the key")
        if isinstance(globs, list | tuple) and globs and str(globs[0]).startswith("!"):
            yield Clash(
                key, "begins with a glob that takes back, and nothing is chosen yet", "write what to choose first"
            )
    if "anonymous" in given:
        for key in sorted(given & {"credentials", "profile", "requester_pays"}):
            yield Clash(key, "does not go with anonymous", f"delete {key}, or delete anonymous to sign requests")
    elif {"credentials", "profile"} <= given:
        yield Clash("profile", "does not go with credentials: both say who we are", "keep one of the two")


def _reader_clashes(raw: Mapping[str, Any], scheme: str, readers: frozenset[str]) -> Iterator[Clash]:
    reader, lists = raw.get("reader"), raw.get("checksums")
    if isinstance(reader, str) and reader and reader not in readers:
        meant = nearest(reader, readers)
        todo = f"did you mean {meant}?" if meant else f"use {', '.join(sorted(readers))}"
        yield Clash("reader", "is no reader we know", todo)
    if reader == "autoindex" and scheme in {"s3", "file"}:
        yield Clash("reader", f"a {scheme} source has no index pages", "use objects, or checksums")
    if reader == "objects":
        if scheme in {"http", "https"}:
            yield Clash("reader", "a web server has no listing of its own", "use autoindex, or checksums")
        if lists:
            yield Clash("checksums", "the reader objects reads no lists", "use reader: checksums, or delete the key")
    if reader == "checksums" and not lists:
        yield Clash("reader", "has no list to read", "add checksums: [SHA256SUMS], the lists' paths below the url")
    if reader in {"checksums", "autoindex"} and isinstance(lists, list | tuple):
        check = _unlike_path if reader == "checksums" else _unlike_glob
        for one in lists:
            if isinstance(one, str) and (wrong := check(one)) is not None:
                yield Clash("checksums", *wrong)


def _unlike_path(path: str) -> tuple[str, str] | None:
    if any(mark in path for mark in "*?["):
        return f"{path[:80]!r} is a glob", "name each list by its path below the url; globs are for reader: autoindex"
    if "://" in path:
        return "a list elsewhere", "name it by its path below the url"
    try:
        check_path(path)
    except UnsafePath as error:
        return str(error), "name the list by its path below the url"
    return None


def _unlike_glob(glob: str) -> tuple[str, str] | None:
    try:
        matcher((glob,))
    except Unfit as error:
        return error.what, error.todo
    return None
