"""A mirror's Source: where upstream is, how it lists its files, which of them are wanted, and how fast to download.

Keys that fit neither the url's scheme nor the reader are rejected, since they would have no effect.
Each reader has options of its own; their keys stand beside `reader:` and are validated with the rest.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    InstanceOf,
    ModelWrapValidatorHandler,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import InitErrorDetails

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model.completion import USUAL_SETTLE, WRITTEN_TO, Completion, Settle
from manifests.model.field_types import MAX_CONNECTIONS, Count, Flag, Glob, Hours, Rate, Size
from manifests.origins import SCHEMES, check_folder_url, origin
from manifests.reading import NoOptions, ReaderKind, installed, text_encoding
from manifests.yaml import STRICT, KeyConflict, again, keys, nearest, unknown, unknown_key, validated

_READER_OF = {
    "s3": "objects", "file": "objects", "http": "autoindex", "https": "autoindex",
    "ftp": "objects", "ftps": "objects", "sftp": "objects",
}  # fmt: skip
NOT_READERS = SCHEMES | {"web", "www", "rest", "sftp", "minio", "aws"}
_S3_KEYS = ("endpoint", "region", "addressing", "profile", "anonymous", "requester_pays")
_KEYS_OF = {"host_keys": ("sftp",)}
_NAMES_ENCODED = ("ftp", "ftps", "sftp", "file")  # transports that show names as bytes
_HOST_KEY = re.compile(
    r"SHA256:[A-Za-z0-9+/]{43}=?|(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}(?: .*)?", re.ASCII
)
_FOLDER_READERS = ("autoindex", "objects", "webdav")
_FILE = re.compile(
    r"([a-z0-9]+://[^/@]+/(?:[^?#@]*/)?)([^/?#@]+\.(?:7z|bz2|csv|dat|gz|grb2?|grib2?|h5|hdf5?|html?|iso|json|nc|nc4|parquet"
    r"|pdf|png|tar|tgz|tiff?|tsv|txt|xlsx?|xml|xz|zip|zst))",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PROXY = re.compile(r"(http|socks5h?)://([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?/?", re.ASCII)


def _named(given: Any) -> Any:
    if isinstance(given, str) and _WORD.fullmatch(given) is None:
        raise InvalidValue(
            message("is not a name"),
            message("write a name of syncd.yaml, letters, digits, ., _ and -; never the secret"),
        )
    return given


def _region(given: Any) -> Any:
    if isinstance(given, str) and _WORD.fullmatch(given) is None:
        raise InvalidValue(message("is not a region"), message("write it as in us-east-1"))
    return given


def _encoding(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    found = text_encoding(given)
    if found is None:
        raise InvalidValue(
            message("is not a known character encoding"), message("write it as in utf-8, latin-1 or gb18030")
        )
    return found


def _host_key(given: Any) -> Any:
    if isinstance(given, str) and _HOST_KEY.fullmatch(given) is None:
        todo = message("write its fingerprint as in SHA256:…, or the key as in ssh-ed25519 AAAA…")
        raise InvalidValue(message("is not a public key of an SSH server"), todo)
    return given


def _folder(given: Any, info: ValidationInfo) -> Any:
    schemes = frozenset((info.context or {}).get("schemes", SCHEMES))
    return check_folder_url(given, schemes) if isinstance(given, str) else given


def _endpoint(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    return check_folder_url(given, frozenset({"http", "https"})).rstrip("/")


def _via(given: Any) -> Any:
    if isinstance(given, str) and _WORD.fullmatch(given) is None and _PROXY.fullmatch(given) is None:
        raise InvalidValue(
            message("is not a proxy"),
            message("write a name of network.proxies in syncd.yaml, direct, or http://host:port or socks5://host:port"),
        )
    return given


class Limits(BaseModel):
    """Limits on requests. Without a limit, the governor finds the rate that upstream sustains."""

    model_config = STRICT

    connections: Annotated[Count, Field(ge=1, le=MAX_CONNECTIONS)] | None = None
    """The maximum number of requests at once."""
    rate: Rate | None = None
    """The maximum bytes per second."""
    window: Hours | None = None
    """The hours of the day in which syncd may download."""
    max_file: Annotated[Size, Field(ge=1)] = Field(default=1 << 40, json_schema_extra={"default": "1 TiB"})
    """The largest file that syncd accepts. A body without an end stops there; that file fails, the others go on."""
    max_files: Annotated[Count, Field(ge=1)] = 100_000_000
    """The most files that a listing may name. A longer one is incomplete, so it deletes nothing."""


class Source(BaseModel):
    """The upstream of a mirror."""

    model_config = STRICT

    url: Annotated[str, BeforeValidator(_folder)]
    """The folder to mirror: https://, http://, s3://bucket/prefix/, ftp://, ftps://, sftp:// or file:///folder/."""
    reader: str = ""
    """How upstream lists its files, as in checksums, autoindex, objects; by default the reader that fits the url."""
    options: SkipJsonSchema[InstanceOf[BaseModel]] = Field(default=NoOptions(), exclude=True)
    """The options of the reader; their keys stand beside `reader`."""
    include: tuple[Glob, ...] = Field(default=("**",), json_schema_extra={"minItems": 1})
    """Globs, as in .gitignore, of the wanted paths."""
    exclude: tuple[Glob, ...] = ()
    """Globs of the unwanted paths; they override include."""
    credentials: Annotated[str, BeforeValidator(_named)] | None = None
    """The name of a credential in syncd.yaml; never the secret itself."""
    limits: Limits = Limits()
    """Limits on requests."""
    settle: Settle | None = None
    """How long a file must be unchanged before it is fetched; by default 5s for file, sftp and ftp, else 0s."""
    complete: Completion | None = None
    """How the writer of the source marks complete files."""
    endpoint: Annotated[str, BeforeValidator(_endpoint)] | None = None
    """S3 only: the server's url, if it is not AWS."""
    region: Annotated[str, BeforeValidator(_region)] | None = None
    """S3 only: the bucket's region."""
    addressing: Literal["auto", "virtual", "path"] | None = None
    """S3 only: the bucket in the host name (virtual) or in the path; by default auto, which learns from the server."""
    anonymous: Flag = False
    """S3 only: send unsigned requests, as public buckets allow."""
    profile: Annotated[str, BeforeValidator(_named)] | None = None
    """S3 only: a profile of the AWS configuration."""
    requester_pays: Flag = False
    """S3 only: agree to pay for requests and bytes."""
    encoding: Annotated[str, BeforeValidator(_encoding)] | None = None
    """The encoding of file names: on FTP and SFTP servers and on disks, and in lists and index pages; default utf-8."""
    via: Annotated[str, BeforeValidator(_via)] | None = None
    """The proxy of this source: a name of `network.proxies` in syncd.yaml, a proxy's url, or `direct`."""
    host_keys: tuple[Annotated[str, BeforeValidator(_host_key)], ...] = ()
    """SFTP only: the server's public keys or their fingerprints (SHA256:…); by default those in known_hosts."""

    @property
    def scheme(self) -> str:
        """Return the url's scheme, which selects the Transport."""
        return self.url.partition("://")[0]

    @property
    def origin(self) -> str:
        """Return the origin that credentials and limits are bound to: `https://host[:port]`, `s3://bucket`."""
        return origin(self.url, frozenset({self.scheme}))

    @property
    def settles_after(self) -> float:
        """Return the seconds that a file must be unchanged before it is fetched."""
        if self.settle is not None:
            return self.settle
        return USUAL_SETTLE if self.scheme in WRITTEN_TO else 0.0

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, raw: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        if not isinstance(raw, Mapping):
            return handler(raw)
        readers: Mapping[str, ReaderKind] = (info.context or {}).get("readers") or installed()
        written = _SCHEME.match(str(raw.get("url", "")))
        scheme = written[1].lower() if written is not None else ""
        name = raw.get("reader") or _READER_OF.get(scheme)
        clashes: list[KeyConflict] = []
        kind: ReaderKind | None = None
        if name is not None:
            raw = {**raw, "reader": name}
            try:
                kind = readers.get(name) if isinstance(name, str) else None
            except InvalidValue as error:
                clashes.append(KeyConflict("reader", error.what, error.todo))
            else:
                clashes += _reader_clashes(name, kind, scheme, readers)
        elif scheme in (info.context or {}).get("schemes", ()):
            clashes.append(
                KeyConflict(
                    "",
                    message("names no reader, and {scheme} has none of its own", scheme=scheme),
                    message("add reader: to it"),
                )
            )
        clashes = [*_scheme_clashes(raw, scheme, kind.also if kind is not None else frozenset()), *clashes]
        clashes += _file_clashes(raw, str(name))
        clashes += _encoding_clashes(raw, str(name), kind, scheme)
        known = tuple(key for key in keys(cls) if key != "options")
        own = {key: value for key, value in raw.items() if key in known}
        rest = {key: value for key, value in raw.items() if key not in known}
        options, wrong = _options(rest, known, str(name), kind, readers)
        return validated({**own, "options": options}, handler, clashes, wrong)

    @model_serializer(mode="wrap")
    def _flat(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        """Write the options as in the manifest: beside the reader."""
        written: dict[str, Any] = handler(self)
        options = self.options.model_dump(mode=info.mode, by_alias=True, exclude_none=info.exclude_none)
        return {**written, **options}


def _options(
    raw: Mapping[str, Any],
    own: tuple[str, ...],
    name: str,
    kind: ReaderKind | None,
    readers: Mapping[str, ReaderKind],
) -> tuple[BaseModel, list[InitErrorDetails]]:
    """Return the reader's options, and their faults; `own` are the keys that every source has."""
    mine = kind.keys if kind is not None else ()
    wrong = [
        unknown_key((key,), *words)
        for key in raw
        if key not in mine and (words := _strange(key, (*own, *mine), name, kind, readers)) is not None
    ]
    if kind is None:
        return NoOptions(), wrong
    try:
        return kind.options.model_validate({key: value for key, value in raw.items() if key in mine}), wrong
    except ValidationError as error:
        for one in error.errors(include_url=False):
            if one["type"] == "extra_forbidden":
                words = unknown(str(one["loc"][-1]), keys(kind.options, one["loc"][:-1]))
                wrong.append(unknown_key(one["loc"], *words))
            else:
                wrong.append(again(one))
        return NoOptions(), wrong


def _strange(
    key: str, known: tuple[str, ...], name: str, kind: ReaderKind | None, readers: Mapping[str, ReaderKind]
) -> tuple[str, str] | None:
    """Return the error of a key that the reader does not have; None if the reader could not be loaded."""
    others = [each for each in readers if key in _keys_of(readers, each)]
    if not others:
        return unknown(key, known)
    if kind is None:
        return None
    what = message("is an option of reader {others}, not of {name}", others=others, name=name)
    return what, message("delete it, or write reader: {others}", others=others[0])


def _keys_of(readers: Mapping[str, ReaderKind], name: str) -> tuple[str, ...]:
    try:
        return readers[name].keys
    except InvalidValue:
        return ()  # a plug-in that cannot be loaded, and is not needed here


def _scheme_clashes(raw: Mapping[str, Any], scheme: str, also: frozenset[str]) -> Iterator[KeyConflict]:
    given = {key for key, value in raw.items() if value is not None and value is not False and value not in ([], ())}
    if scheme in _READER_OF and scheme != "s3" and "s3" not in also:
        for key in _S3_KEYS:
            if key in given:
                yield KeyConflict(
                    key,
                    message("does not apply to a {scheme} url", scheme=scheme),
                    message("delete it; it is for s3:// urls"),
                )
    for key, schemes in _KEYS_OF.items():
        if key in given and scheme in _READER_OF and scheme not in schemes:
            yield KeyConflict(
                key,
                message("does not apply to a {scheme} url", scheme=scheme),
                message("delete it; it is for {schemes} urls", schemes=schemes),
            )
    if scheme == "file" and "credentials" in given:
        yield KeyConflict(
            "credentials",
            message("does not apply to a file url"),
            message("delete it; the daemon's user must be able to read"),
        )
    for key in ("include", "exclude"):
        globs = raw.get(key)
        if key == "include" and globs in ([], ()):
            yield KeyConflict(
                key,
                message("is empty, so nothing would be mirrored"),
                message("write a glob, or delete the key"),
            )
        if isinstance(globs, list | tuple) and globs and str(globs[0]).startswith("!"):
            yield KeyConflict(
                key,
                message("begins with a glob that deselects (!), and nothing is selected yet"),
                message("write a glob that selects first"),
            )
    if "anonymous" in given:
        for key in sorted(given & {"credentials", "profile", "requester_pays"}):
            yield KeyConflict(
                key,
                message("cannot be combined with anonymous"),
                message("delete {key}, or delete anonymous to sign requests", key=key),
            )
    elif {"credentials", "profile"} <= given:
        yield KeyConflict(
            "profile",
            message("cannot be combined with credentials: both name an identity"),
            message("keep one of the two"),
        )


def _file_clashes(raw: Mapping[str, Any], name: str) -> Iterator[KeyConflict]:
    """Refuse the url of one file where a folder is listed; a folder with such a name is written with its slash."""
    found = _FILE.fullmatch(str(raw.get("url", ""))) if name in _FOLDER_READERS else None
    if found is not None:
        yield KeyConflict(
            "url",
            message("is the url of a file"),
            message(
                'the folder is {folder}, and include: ["/{file}"] selects the file; a folder ends in /',
                folder=found[1],
                file=found[2],
            ),
        )


def _encoding_clashes(raw: Mapping[str, Any], name: str, kind: ReaderKind | None, scheme: str) -> Iterator[KeyConflict]:
    if raw.get("encoding") is not None and kind is not None and not kind.encoded and scheme not in _NAMES_ENCODED:
        yield KeyConflict(
            "encoding",
            message("has no effect: names come in UTF-8 over {scheme} by reader {reader}", scheme=scheme, reader=name),
            message("delete it"),
        )


def _reader_clashes(
    name: Any, kind: ReaderKind | None, scheme: str, readers: Mapping[str, ReaderKind]
) -> Iterator[KeyConflict]:
    if not isinstance(name, str):
        return
    if kind is None:
        if name.casefold() in NOT_READERS:
            todo = message("delete the key: the reader of an {scheme} url is found by itself", scheme=scheme or name)
            yield KeyConflict("reader", message("is a protocol, not a reader"), todo)
            return
        meant = nearest(name, readers)
        yield KeyConflict(
            "reader",
            message("is not a known reader"),
            (message("did you mean {meant}?", meant=meant) if meant else message("use {readers}", readers=readers)),
        )
    elif scheme and not kind.reads(scheme):
        usual = _READER_OF.get(scheme)
        fit = sorted((each for each in readers if _reads(readers, each, scheme)), key=lambda each: each != usual)
        todo = message("use {fit}", fit=fit[:6]) if fit else message("use another url")
        yield KeyConflict("reader", message("{name} reads no {scheme} source", name=name, scheme=scheme), todo)


def _reads(readers: Mapping[str, ReaderKind], name: str, scheme: str) -> bool:
    try:
        return readers[name].reads(scheme)
    except InvalidValue:
        return False
