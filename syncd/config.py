"""The daemon's configuration, `syncd.yaml`: where state and store are, whom to trust with which secret.

Checked as strictly as a manifest. What stands on the command line outranks the environment, which outranks the file.
A secret never stands in the file: its value says where it is (`file`, `env`, `systemd`), and is read when it is needed.
"""

import netrc
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from manifests import yaml
from syncd.errors import ConfigError
from syncd.ports import Credential

_PORTS = {"http": 80, "https": 443}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Secret(_Part):
    """Where a secret is: exactly one of a file, an environment variable, a systemd credential."""

    file: Path | None = None
    env: str | None = None
    systemd: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_literal(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("a secret stands here: put it into a file and write {file: /run/secrets/name}")  # noqa: TRY004  bad input, not a bug
        return value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(place is not None for place in (self.file, self.env, self.systemd)) != 1:
            raise ValueError("give exactly one of file, env and systemd: as {file: /run/secrets/name}")
        return self


class Basic(_Part):
    """A name and a password."""

    username: str
    password: Secret


class Header(_Part):
    """A header of one's own, as X-Api-Key."""

    name: str
    value: Secret

    @field_validator("name")
    @classmethod
    def _token(cls, name: str) -> str:
        if re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) is None:
            raise ValueError(f"{name!r} is not a header's name: use letters, digits and hyphens")
        return name


class S3Keys(_Part):
    """An access key."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None


class CredentialSettings(_Part):
    """A credential, bound to an origin; exactly one kind."""

    origin: str
    """`https://host[:port]`, or `s3://bucket`: it is sent nowhere else."""
    basic: Basic | None = None
    bearer: Secret | None = None
    header: Header | None = None
    netrc: Path | None = None
    s3: S3Keys | None = None

    @field_validator("origin")
    @classmethod
    def _origin(cls, origin: str) -> str:
        return normalise_origin(origin)

    @model_validator(mode="after")
    def _one(self) -> Self:
        kinds = (self.basic, self.bearer, self.header, self.netrc, self.s3)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("give exactly one of basic, bearer, header, netrc and s3: as {bearer: {env: TOKEN}}")
        return self


class StoreSettings(_Part):
    """Where the mirrors lie: a folder, or `s3://bucket/prefix`."""

    url: str = "./store"
    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None


class Config(_Part):
    """All settings."""

    state: Path = Path("state")
    """The folder of the Catalogue."""
    store: StoreSettings = StoreSettings()
    manifests: tuple[Path, ...] = ()
    """Folders of mirror manifests, for the daemon."""
    listen: Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$")] = "127.0.0.1:8750"
    """Where the daemon's HTTP side listens."""
    allow_private: frozenset[str] = frozenset()
    """Origins on private or loopback addresses that a source may be on."""
    credentials: dict[str, CredentialSettings] = {}

    @field_validator("allow_private")
    @classmethod
    def _origins(cls, origins: frozenset[str]) -> frozenset[str]:
        return frozenset(normalise_origin(origin) for origin in origins)


def load_config(
    path: Path | None,
    *,
    store: str | None = None,
    endpoint: str | None = None,
    state: Path | None = None,
    allow_private: Iterable[str] = (),
    environ: Mapping[str, str],
) -> Config:
    """Return the configuration. Raises ConfigError with every problem of the file, each at its line and column."""
    config = _read(path) if path is not None else Config()
    url = store if store is not None else environ.get("SYNCD_STORE")
    server = endpoint if endpoint is not None else environ.get("SYNCD_ENDPOINT")
    folder = state if state is not None else environ.get("SYNCD_STATE")
    settings = config.store
    if url is not None:
        settings = settings.model_copy(update={"url": url})
    if server is not None:
        settings = settings.model_copy(update={"endpoint": server})
    try:
        origins = frozenset(normalise_origin(origin) for origin in allow_private)
    except ValueError as error:
        raise ConfigError(f"--allow-private: {error}") from error
    return config.model_copy(
        update={
            "store": settings,
            "state": Path(folder) if folder is not None else config.state,
            "allow_private": config.allow_private | origins,
        }
    )


def _read(path: Path) -> Config:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}: give the path of a syncd.yaml") from error
    try:
        config = yaml.load(Config, text, str(path))
    except yaml.YamlError as error:
        raise ConfigError(str(error)) from error
    here, settings = path.resolve().parent, config.store
    if "://" not in settings.url:
        settings = settings.model_copy(update={"url": os.fspath(here / settings.url)})
    return config.model_copy(
        update={
            "state": here / config.state,
            "store": settings,
            "manifests": tuple(here / folder for folder in config.manifests),
        }
    )


def normalise_origin(url: str) -> str:
    """Return `scheme://host[:port]` without a default port. Raises ValueError that says what to write."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is not an origin ({error}): write it as https://host") from error
    if parts.scheme not in ("http", "https", "s3", "ftp", "ftps", "sftp") or not host or parts.path not in ("", "/"):
        raise ValueError(f"{url!r} is not an origin: write scheme and host alone, as https://physionet.org")
    if parts.username is not None:
        raise ValueError("a secret stands in an origin: write scheme and host alone, as https://physionet.org")
    host = f"[{host}]" if ":" in host else host.lower()
    return f"{parts.scheme}://{host}" if port in (None, _PORTS.get(parts.scheme)) else f"{parts.scheme}://{host}:{port}"


def resolve_credential(config: Config, name: str, environ: Mapping[str, str]) -> Credential:
    """Return a credential with its secret, read now. Raises ConfigError that never shows the secret."""
    settings = config.credentials.get(name)
    if settings is None:
        known = ", ".join(sorted(config.credentials)) or "none"
        raise ConfigError(f"credentials: {name!r} is not in the configuration (known: {known}): add it to syncd.yaml")
    where = f"credentials.{name}"
    if settings.basic is not None:
        secret = _secret(settings.basic.password, where, environ)
        return Credential(name, settings.origin, "basic", secret, username=settings.basic.username)
    if settings.bearer is not None:
        return Credential(name, settings.origin, "bearer", _secret(settings.bearer, where, environ))
    if settings.header is not None:
        secret = _secret(settings.header.value, where, environ)
        return Credential(name, settings.origin, "header", secret, header=settings.header.name)
    if settings.netrc is not None:
        return _from_netrc(name, settings.origin, settings.netrc.expanduser())
    assert settings.s3 is not None
    keys = settings.s3
    token = _secret(keys.session_token, where, environ) if keys.session_token is not None else ""
    secret = _secret(keys.secret_access_key, where, environ)
    return Credential(name, settings.origin, "s3", secret, username=keys.access_key_id, token=token)


def _secret(secret: Secret, where: str, environ: Mapping[str, str]) -> str:
    if secret.env is not None:
        if not (value := environ.get(secret.env)):
            raise ConfigError(f"{where}: the environment variable {secret.env} is not set: set it, or use a file")
        return _clean(value, where)
    if secret.systemd is not None:
        folder = environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise ConfigError(
                f"{where}: systemd gave no credentials: add LoadCredential={secret.systemd}:… to the unit"
            )
        return _clean(_private(Path(folder) / secret.systemd, where), where)
    assert secret.file is not None
    return _clean(_private(secret.file.expanduser(), where), where)


def _private(path: Path, where: str) -> str:
    """Return the text of a file that only its owner (and group) can read."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{where}: {path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: {path}: is not text") from error
    if mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        raise ConfigError(f"{where}: {path}: others can read or change it (mode {mode & 0o777:o}): chmod 600 {path}")
    return text


def _clean(value: str, where: str) -> str:
    value = value.removesuffix("\n").removesuffix("\r")
    if not value or any(character in value for character in "\r\n\0"):
        raise ConfigError(f"{where}: the secret is empty, or has more than one line: store the bare value")
    return value


def _from_netrc(name: str, origin: str, path: Path) -> Credential:
    where = f"credentials.{name}"
    _private(path, where)
    host = urlsplit(origin).hostname or ""
    try:
        found = netrc.netrc(os.fspath(path)).hosts.get(host)
    except netrc.NetrcParseError as error:
        raise ConfigError(f"{where}: {path}: line {error.lineno}: not a netrc file") from error
    if found is None:
        raise ConfigError(f"{where}: {path}: has no machine {host}: add `machine {host} login … password …`")
    return Credential(name, origin, "basic", found[2] or "", username=found[0])
