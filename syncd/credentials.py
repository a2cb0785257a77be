"""What syncd.yaml says of secrets: never the secret, but where it is, of what kind, and for which origin."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, Field, ModelWrapValidatorHandler, model_validator

from manifests.addresses import normalise_origin
from manifests.checked import STRICT, Clash, checked
from manifests.unfit import Unfit

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}", re.ASCII)
_TOLD_BY_TRANSPORT = frozenset({"host", "content-length", "transfer-encoding", "connection", "range", "if-range"})
KINDS = ("basic", "bearer", "header", "netrc", "s3", "key")
WEB = ("http", "https")
PLACES = ("file", "env", "systemd")


def read_origin(given: Any) -> Any:
    """Validate a field that holds an origin."""
    return normalise_origin(given) if isinstance(given, str) else given


def _header(given: Any) -> Any:
    if isinstance(given, str) and _HEADER.fullmatch(given) is None:
        raise Unfit("is not a header's name", "write it as in X-Api-Key")
    if isinstance(given, str) and given.lower() in _TOLD_BY_TRANSPORT:
        raise Unfit("is a header that carries no secret", "write the one that does, as in X-Api-Key")
    return given


def _variable(given: Any) -> Any:
    if isinstance(given, str) and _VARIABLE.fullmatch(given) is None:
        raise Unfit("is not a variable's name", "write the name of the variable that holds the secret, as in TOKEN")
    return given


class Secret(BaseModel):
    """Where a secret is to be found: one of `file`, `env`, `systemd`."""

    model_config = STRICT

    file: Path | None = None
    """A file that holds nothing else, readable by its owner (and group) only."""
    env: Annotated[str, BeforeValidator(_variable)] | None = None
    """An environment variable."""
    systemd: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")] | None = None
    """A credential that systemd passes (LoadCredential=)."""

    @model_validator(mode="wrap")
    @classmethod
    def _whole(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(raw, cls):
            return raw
        if not isinstance(raw, Mapping):
            todo = "put it into a file of its own and write {file: /path}, or {env: NAME} or {systemd: name}"
            raise Unfit("a secret never stands here", todo)
        return checked(raw, handler, tuple(_one_of(raw, PLACES, "{file: /run/secrets/name}")))


class Basic(BaseModel):
    """A name and a password."""

    model_config = STRICT

    username: Annotated[str, Field(min_length=1, max_length=1_000)]
    """The name; no secret."""
    password: Secret
    """Where the password is."""


class Header(BaseModel):
    """A header of the publisher's own, as X-Api-Key."""

    model_config = STRICT

    name: Annotated[str, BeforeValidator(_header)]
    """The header's name, as in X-Api-Key."""
    value: Secret
    """Where its value is."""


class S3Keys(BaseModel):
    """An access key of an S3 server."""

    model_config = STRICT

    access_key_id: Annotated[str, Field(min_length=1, max_length=1_000)]
    """The key's id; no secret."""
    secret_access_key: Secret
    """Where the secret key is."""
    session_token: Secret | None = None
    """Where the token of temporary keys is."""


class PrivateKey(BaseModel):
    """A private key of SSH, for sftp."""

    model_config = STRICT

    username: Annotated[str, Field(min_length=1, max_length=1_000)]
    private_key: Secret
    """The key, as ssh-keygen writes it."""
    passphrase: Secret | None = None
    """What opens it, if it is locked."""


class CredentialSettings(BaseModel):
    """A credential of one kind, bound to the one origin it is sent to."""

    model_config = STRICT

    origin: Annotated[str, BeforeValidator(read_origin)]
    """`https://host[:port]`, `ftps://host`, `sftp://host`, or `s3://bucket`."""
    basic: Basic | None = None
    """A name and a password."""
    bearer: Secret | None = None
    """A token, sent as `Authorization: Bearer`."""
    header: Header | None = None
    """A header of the publisher's own."""
    netrc: Path | None = None
    """A netrc file that names the origin's host."""
    s3: S3Keys | None = None
    key: PrivateKey | None = None
    """An access key, for an origin s3://bucket."""

    @model_validator(mode="wrap")
    @classmethod
    def _whole(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return checked(raw, handler, tuple(_credential_clashes(raw)) if isinstance(raw, Mapping) else ())


def _credential_clashes(raw: Mapping[str, Any]) -> Iterator[Clash]:
    yield from _one_of(raw, KINDS, "{bearer: {env: TOKEN}}")
    bucket = str(raw.get("origin", "")).lower().startswith("s3://")
    for kind in KINDS:
        if raw.get(kind) is not None and "origin" in raw and bucket != (kind == "s3"):
            todo = "use s3: {access_key_id: …}" if bucket else "write the origin as s3://bucket"
            yield Clash(kind, f"does not go with an origin that is {'a bucket' if bucket else 'no bucket'}", todo)
    scheme = str(raw.get("origin", "")).lower().partition("://")[0]
    for kind, schemes in (("bearer", WEB), ("header", WEB), ("key", ("sftp",))):
        if raw.get(kind) is not None and scheme not in (*schemes, "s3", ""):
            others = "basic or key" if scheme == "sftp" else "basic" if scheme in ("ftp", "ftps") else "basic or bearer"
            yield Clash(kind, f"does not go with {scheme}", f"use {others}, or write another origin")


def _one_of(raw: Mapping[str, Any], keys: tuple[str, ...], example: str) -> Iterator[Clash]:
    given = [key for key in keys if raw.get(key) is not None]
    for key in given[1:]:
        yield Clash(key, f"does not go with {given[0]}", "keep one of the two")
    if not given:
        yield Clash("", f"says none of {', '.join(keys)}", f"write it as in {example}")
