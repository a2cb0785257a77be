"""Credentials in syncd.yaml: the kind, origin and location of each secret, never the secret itself."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, Field, ModelWrapValidatorHandler, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.origins import normalise_origin, origin
from manifests.yaml import STRICT, KeyConflict, validated

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}", re.ASCII)
_TOLD_BY_TRANSPORT = frozenset({"host", "content-length", "transfer-encoding", "connection", "range", "if-range"})
KINDS = ("basic", "bearer", "header", "netrc", "s3", "key", "oauth", "login")
WEB = ("http", "https")
PLACES = ("file", "env", "systemd")


def read_origin(given: Any) -> Any:
    """Validate a field that holds an origin."""
    return normalise_origin(given) if isinstance(given, str) else given


def _token_url(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    if "?" in given or "#" in given or not given.lower().startswith(("https://", "http://")):
        raise InvalidValue(
            message("is not the url of a token"), message("write it as in https://identity.example.org/token")
        )
    origin(given, frozenset(WEB))
    return given


def _header(given: Any) -> Any:
    if isinstance(given, str) and _HEADER.fullmatch(given) is None:
        raise InvalidValue(message("is not a header's name"), message("write it as in X-Api-Key"))
    if isinstance(given, str) and given.lower() in _TOLD_BY_TRANSPORT:
        raise InvalidValue(
            message("is a header that carries no secret"), message("write the one that does, as in X-Api-Key")
        )
    return given


def _variable(given: Any) -> Any:
    if isinstance(given, str) and _VARIABLE.fullmatch(given) is None:
        raise InvalidValue(
            message("is not a variable's name"),
            message("write the name of the variable that holds the secret, as in TOKEN"),
        )
    return given


class Secret(BaseModel):
    """Where a secret is stored: one of `file`, `env`, `systemd`."""

    model_config = STRICT

    file: Path | None = None
    """A file that holds nothing else, readable by its owner (and group) only."""
    env: Annotated[str, BeforeValidator(_variable)] | None = None
    """An environment variable."""
    systemd: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")] | None = None
    """A credential that systemd passes (LoadCredential=)."""

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(raw, cls):
            return raw
        if not isinstance(raw, Mapping):
            todo = message("put it into a file of its own and write {file: /path}, or {env: NAME} or {systemd: name}")
            raise InvalidValue(message("a secret is not allowed here"), todo)
        return validated(raw, handler, tuple(_one_of(raw, PLACES, "{file: /run/secrets/name}")))


class Basic(BaseModel):
    """A name and a password."""

    model_config = STRICT

    username: Annotated[str, Field(min_length=1, max_length=1_000)]
    """The user name; it is not secret."""
    password: Secret
    """Where the password is."""


class Header(BaseModel):
    """A header of the publisher's own, as X-Api-Key."""

    model_config = STRICT

    name: Annotated[str, BeforeValidator(_header)]
    """The header's name, as in X-Api-Key."""
    value: Secret
    """Where the header's value is."""


class S3Keys(BaseModel):
    """An access key of an S3 server."""

    model_config = STRICT

    access_key_id: Annotated[str, Field(min_length=1, max_length=1_000)]
    """The key's id; it is not secret."""
    secret_access_key: Secret
    """Where the secret key is."""
    session_token: Secret | None = None
    """Where the session token of temporary keys is."""


class PrivateKey(BaseModel):
    """A private key of SSH, for sftp."""

    model_config = STRICT

    username: Annotated[str, Field(min_length=1, max_length=1_000)]
    """The user name; it is not secret."""
    private_key: Secret
    """The key, as ssh-keygen writes it."""
    passphrase: Secret | None = None
    """The passphrase of the key, if it has one."""


class OAuth(BaseModel):
    """A token that syncd requests and renews (OAuth 2.0), with a name and a password, or with the client's secret."""

    model_config = STRICT

    token_url: Annotated[str, BeforeValidator(_token_url)]
    """The url that issues tokens; the password is sent only there."""
    client_id: Annotated[str, Field(min_length=1, max_length=1_000)]
    """The client's id; it is not secret."""
    client_secret: Secret | None = None
    """Where the client's secret is, if it has one."""
    username: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    """The name to log in with; absent if the client's secret is enough."""
    password: Secret | None = None
    """Where the password is."""

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return validated(raw, handler, tuple(_oauth_clashes(raw)) if isinstance(raw, Mapping) else ())


def _oauth_clashes(raw: Mapping[str, Any]) -> Iterator[KeyConflict]:
    if (raw.get("username") is None) != (raw.get("password") is None):
        yield KeyConflict("", message("has only one of username and password"), message("write both, or neither"))
    elif raw.get("username") is None and raw.get("client_secret") is None:
        yield KeyConflict(
            "",
            message("has neither username and password nor client_secret"),
            message("write what the publisher gave you"),
        )


class Login(BaseModel):
    """A name and a password for the login site to which the publisher redirects."""

    model_config = STRICT

    at: Annotated[str, BeforeValidator(read_origin)]
    """The origin of the login, as in https://urs.earthdata.nasa.gov; the password is sent only there."""
    username: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    """The user name; it is not secret."""
    password: Secret | None = None
    """Where the password is."""
    netrc: Path | None = None
    """A netrc file that names the login host, instead of `username` and `password`."""

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return validated(raw, handler, tuple(_login_clashes(raw)) if isinstance(raw, Mapping) else ())


def _login_clashes(raw: Mapping[str, Any]) -> Iterator[KeyConflict]:
    named = [key for key in ("username", "password") if raw.get(key) is not None]
    if raw.get("netrc") is not None:
        for key in named:
            yield KeyConflict(key, message("cannot be combined with netrc"), message("keep one of the two"))
    elif len(named) != 2:
        yield KeyConflict(
            "",
            message("has no username and password, and no netrc"),
            message("write {username: me, password: {file: /path}}"),
        )


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
    """A header that the publisher defines."""
    netrc: Path | None = None
    """A netrc file that names the origin's host."""
    s3: S3Keys | None = None
    """An access key, for an origin s3://bucket."""
    key: PrivateKey | None = None
    """An SSH private key, for an origin sftp://host."""
    oauth: OAuth | None = None
    """A token that syncd requests and renews (OAuth 2.0)."""
    login: Login | None = None
    """A name and a password for the login site to which the publisher redirects."""
    also: tuple[Annotated[str, BeforeValidator(read_origin)], ...] = ()
    """Further origins of the same publisher to which the secret may be sent."""

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return validated(raw, handler, tuple(_credential_clashes(raw)) if isinstance(raw, Mapping) else ())


def _credential_clashes(raw: Mapping[str, Any]) -> Iterator[KeyConflict]:
    yield from _one_of(raw, KINDS, "{bearer: {env: TOKEN}}")
    bucket = str(raw.get("origin", "")).lower().startswith("s3://")
    for kind in KINDS:
        if raw.get(kind) is not None and "origin" in raw and bucket != (kind == "s3"):
            if bucket:
                what, todo = message("does not apply to a bucket"), message("use s3: {access_key_id: …}")
            else:
                what, todo = message("applies only to a bucket"), message("write the origin as s3://bucket")
            yield KeyConflict(kind, what, todo)
    scheme = str(raw.get("origin", "")).lower().partition("://")[0]
    for kind, schemes in (("bearer", WEB), ("header", WEB), ("key", ("sftp",)), ("oauth", WEB), ("login", WEB)):
        if raw.get(kind) is not None and scheme not in (*schemes, "s3", ""):
            others = (
                message("basic or key")
                if scheme == "sftp"
                else "basic"
                if scheme in ("ftp", "ftps")
                else message("basic or bearer")
            )
            yield KeyConflict(
                kind,
                message("does not apply to {scheme}", scheme=scheme),
                message("use {others}, or write another origin", others=others),
            )
    also = raw.get("also")
    for one in also if isinstance(also, list | tuple) else ():
        if scheme not in WEB or str(one).lower().partition("://")[0] != scheme:
            yield KeyConflict(
                "also",
                message("names an origin that is not {scheme}, as the first one is", scheme=scheme),
                message("name only origins of the same scheme"),
            )
    for kind, key in (("oauth", "token_url"), ("login", "at")):
        part = raw.get(kind)
        where = str(part.get(key, "")).lower() if isinstance(part, Mapping) else ""
        if scheme == "https" and where.startswith("http://"):
            yield KeyConflict(
                kind,
                message("would send its secret to {key} unencrypted", key=key),
                message("write {key} with https", key=key),
            )


def _one_of(raw: Mapping[str, Any], keys: tuple[str, ...], example: str) -> Iterator[KeyConflict]:
    given = [key for key in keys if raw.get(key) is not None]
    for key in given[1:]:
        yield KeyConflict(
            key, message("cannot be combined with {given}", given=given[0]), message("keep one of the two")
        )
    if not given:
        yield KeyConflict(
            "", message("has none of {keys}", keys=keys), message("write it as in {example}", example=example)
        )
