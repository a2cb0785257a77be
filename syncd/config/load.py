"""The configuration, `syncd.yaml`: state folder, store, credentials, access control, budgets.

Rules:
1. The file is checked as strictly as a manifest, and its mistakes are reported the same way. The command line overrides
   the environment, which overrides the file, which overrides the defaults. A relative path in it is relative to it.
2. The file contains no secrets, only where they are stored. So no printed or logged setting can show one. A secret is
   read when it is needed (`syncd.config.secrets`), and not kept.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ModelWrapValidatorHandler, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import Count, Duration, Size
from manifests.origins import normalise_origin
from manifests.yaml import STRICT, KeyConflict, ManifestError, load, validated
from syncd.config.api_access import ApiSettings, Token, validate_unique_names
from syncd.config.credentials import CredentialSettings, read_origin
from syncd.config.field_types import Listen
from syncd.config.locations import STATE, STORE, endpoint_url, state_folder, store_location, store_url
from syncd.config.network import NetworkSettings
from syncd.config.peers import PeerSettings
from syncd.config.secrets import read_credential
from syncd.config.serve import ServeSettings
from syncd.config.settings import (
    BackupSettings,
    BudgetSettings,
    ControlSettings,
    LogSettings,
    RetentionSettings,
    ReuseSettings,
    ScrubSettings,
)
from syncd.config.text_file import read_text_file
from syncd.config.usage import UsageSettings
from syncd.core import ConfigError, Credential

__all__ = [
    "Config",
    "StoreSettings",
    "load_config",
    "normalise_origin",
    "resolve_credential",
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


class PartsSettings(BaseModel):
    """The parts in which large files are sent to a bucket; by default what the server accepts is learnt."""

    model_config = STRICT

    most: Annotated[Count, Field(ge=1, le=10_000)] = 10_000
    """The most parts of one file."""
    least: Annotated[Size, Field(ge=0, le=5 << 30)] = Field(default=0, json_schema_extra={"default": "16 MiB"})
    """The least size of a part."""


class StoreSettings(BaseModel):
    """Where the copies are stored: a folder, or a bucket of an S3 server."""

    model_config = STRICT

    url: Annotated[str, BeforeValidator(store_url)] = STORE
    """A folder, or s3://bucket/prefix/."""
    endpoint: Annotated[str, BeforeValidator(endpoint_url)] | None = None
    """S3 only: the server's url, if it is not AWS."""
    region: str | None = None
    """S3 only: the bucket's region."""
    profile: str | None = None
    """S3 only: a profile of the AWS configuration."""
    addressing: Literal["auto", "virtual", "path"] = "auto"
    """S3 only: whether the bucket is part of the host name (virtual) or of the path; auto learns it from the server."""
    group: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$")] | None = None
    """Folders only: the group of users that may read the files of restricted mirrors, besides syncd itself."""
    parts: PartsSettings = PartsSettings()
    """S3 only: the parts in which large files are sent."""

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return validated(raw, handler, tuple(_store_clashes(raw)) if isinstance(raw, Mapping) else ())


def _store_clashes(raw: Mapping[str, Any]) -> Iterator[KeyConflict]:
    if str(raw.get("url", "")).startswith("s3://") and raw.get("group") is not None:
        yield KeyConflict(
            "group", message("does not apply to a bucket"), message("delete it; the bucket's policy decides who reads")
        )
    if not str(raw.get("url", "")).startswith("s3://"):
        for key in ("endpoint", "region", "profile", "addressing", "parts"):
            if raw.get(key) is not None:
                yield KeyConflict(
                    key, message("does not apply to a folder"), message("delete it, or write url: s3://bucket/prefix/")
                )


class Config(BaseModel):
    """The whole configuration of the daemon and the command line."""

    model_config = STRICT

    state: Path = STATE
    """The folder of the Catalogue."""
    store: StoreSettings = StoreSettings()
    """Where the copies are stored."""
    manifests: tuple[Path, ...] = ()
    """Mirror manifests, or folders of them."""
    workers: Annotated[int, Field(ge=0, le=64, strict=True)] | None = None
    """Worker processes, which transfer small files; by default one for each processor, 0 for none."""
    listen: Listen = "127.0.0.1:8750"
    """The address of the status page, the API and the metrics."""
    api: ApiSettings = ApiSettings()
    """Who may use that address, and by which names."""
    control: ControlSettings = ControlSettings()
    """The socket in the state folder, by which commands ask the running daemon."""
    serve: ServeSettings | None = None
    """The public side: published mirrors for everybody; absent: there is none."""
    usage: UsageSettings = UsageSettings()
    """How the public side counts what it gives; neither an address nor a user agent is kept."""
    peers: tuple[PeerSettings, ...] = ()
    """Other nodes whose copies of our published mirrors are watched: the page shows how fresh they are."""
    tokens: Annotated[tuple[Token, ...], AfterValidator(validate_unique_names)] = ()
    """Who may read and who may make changes."""
    allow_private: frozenset[Annotated[str, BeforeValidator(read_origin)]] = frozenset()
    """Origins on private or loopback addresses that sources may use."""
    network: NetworkSettings = NetworkSettings()
    """How upstreams are reached: proxies, authorities, addresses."""
    credentials: dict[Annotated[str, Field(pattern=f"^{_NAME.pattern}$")], CredentialSettings] = {}
    """Secrets by the name that manifests use, each bound to one origin."""
    user_agent: Annotated[str, Field(max_length=200, pattern=r"^[\x20-\x7e]*$")] = ""
    """Text that follows `syncd/VERSION` in the user agent, best a contact address for upstreams."""
    budget: BudgetSettings = BudgetSettings()
    """Limits that all passes share."""
    scrub: ScrubSettings = ScrubSettings()
    """The fixity check (scrub): stored bytes are read again and compared."""
    retention: RetentionSettings = RetentionSettings()
    """How long the daemon keeps its records and the quarantine."""
    reuse: ReuseSettings = ReuseSettings()
    """Content that is held is not downloaded again."""
    backup: BackupSettings = BackupSettings()
    """Copies of the Catalogue in the store."""
    log: LogSettings = LogSettings()
    """The log, which the daemon writes to standard error."""
    grace: Duration = Field(default=30.0, json_schema_extra={"default": "30s"})
    """How long running transfers may continue after the daemon is told to stop."""


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
    config = _read(path) if path is not None else Config.model_construct()  # defaults: there is nothing to check
    url, server = store_location(store, endpoint, environ, config.store.url)
    try:
        origins = frozenset(normalise_origin(origin) for origin in allow_private)
    except InvalidValue as error:
        raise ConfigError(message("--allow-private: {cause}", cause=error)) from error
    return config.model_copy(
        update={
            "store": _store(config.store, url, server),
            "state": state_folder(state, environ, config.state),
            "allow_private": config.allow_private | origins,
        }
    )


def resolve_credential(config: Config, name: str, environ: Mapping[str, str]) -> Credential:
    """Return a credential with its secret, read now (it blocks). Raises ConfigError, which never shows the secret."""
    settings = config.credentials.get(name)
    if settings is None:
        known = ", ".join(sorted(config.credentials)) or "none"
        raise ConfigError(
            message(
                "credentials: {name!r} is not in the configuration, known are {known}: add it",
                name=name[:64],
                known=known,
            )
        )
    return read_credential(settings, name, environ)


def _store(settings: StoreSettings, url: str, endpoint: str | None) -> StoreSettings:
    if not url.startswith("s3://"):
        return StoreSettings(url=url)  # an endpoint in the environment or the file does not apply to a folder
    return settings.model_copy(update={"url": url, "endpoint": endpoint or settings.endpoint})


def _read(path: Path) -> Config:
    try:
        text = read_text_file(path, from_pipe=True)
    except OSError as error:
        raise ConfigError(
            message("{path}: cannot be read: {cause}: give the path of a syncd.yaml", path=path, cause=error.strerror)
        ) from error
    try:
        config = load(text, str(path), Config)
    except ManifestError as error:
        raise ConfigError(str(error)) from error
    here = path.parent
    url = config.store.url if "://" in config.store.url else str(here / config.store.url)
    return config.model_copy(
        update={
            "state": here / config.state,
            "store": config.store.model_copy(update={"url": url}),
            "manifests": tuple(here / folder for folder in config.manifests),
            "network": _resolve_paths(config.network, here),
            "serve": _resolve_paths(config.serve, here),
            "usage": _resolve_paths(config.usage, here),
            "credentials": {name: _resolve_paths(one, here) for name, one in config.credentials.items()},
        }
    )


def _resolve_paths(part: Any, here: Path) -> Any:
    """Return a credential's settings with every relative path resolved against the configuration's folder."""
    if isinstance(part, Path):
        return part if str(part).startswith("~") else here / part
    if isinstance(part, tuple):
        return tuple(_resolve_paths(one, here) for one in part)
    if isinstance(part, dict):
        return {name: _resolve_paths(one, here) for name, one in part.items()}
    if not isinstance(part, BaseModel):
        return part
    return part.model_copy(update={name: _resolve_paths(getattr(part, name), here) for name in type(part).model_fields})
