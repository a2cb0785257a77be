"""Where configuration, Catalogue and store are, according to the command line and the environment.

This module imports no model of the configuration, so that a command that needs no more than these starts quickly.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.origins import check_folder_url
from syncd.core import ConfigError

STATE = Path("state")
STORE = "./store"
NAME = "syncd.yaml"
SYSTEM = Path("/etc/syncd")


def find_config(environ: Mapping[str, str]) -> Path | None:
    """Return the configuration file to read if the command line names none; None if there is none.

    It is the file that SYNCD_CONFIG names, or else the first that exists of `./syncd.yaml`, `syncd/syncd.yaml` in the
    user's configuration folder, and `/etc/syncd/syncd.yaml`. That folder is `$XDG_CONFIG_HOME`, `~/.config` by default
    (XDG Base Directory Specification: a relative path is ignored).
    """
    if (named := _set(environ, "SYNCD_CONFIG")) is not None:
        return Path(named)
    folders = [Path(), SYSTEM]
    home, xdg = _set(environ, "HOME"), _set(environ, "XDG_CONFIG_HOME")
    if xdg is not None and xdg.startswith("/"):
        folders.insert(1, Path(xdg, "syncd"))
    elif home is not None:
        folders.insert(1, Path(home, ".config", "syncd"))
    return next((folder / NAME for folder in folders if os.path.isfile(folder / NAME)), None)  # noqa: PTH113  no error


def state_folder(given: Path | None, environ: Mapping[str, str], default: Path = STATE) -> Path:
    """Return the folder of the Catalogue: that of the command line, of the environment, or else the default."""
    folder = given or _set(environ, "SYNCD_STATE")
    return Path(folder) if folder is not None else default


def store_location(
    url: str | None, endpoint: str | None, environ: Mapping[str, str], default: str = STORE
) -> tuple[str, str | None]:
    """Return the url and the endpoint of the store, validated. Raises ConfigError."""
    where = "--store" if url is not None else "SYNCD_STORE"
    url = url if url is not None else _set(environ, "SYNCD_STORE")
    try:
        found = store_url(url) if url is not None else default
        server = endpoint_url(endpoint) if endpoint is not None else None
    except InvalidValue as error:
        option = where if endpoint is None else f"{where}, --endpoint"
        raise ConfigError(message("{option}: {cause}", option=option, cause=error)) from error
    if not found.startswith("s3://"):
        if endpoint is not None:
            raise ConfigError(
                message(
                    "--endpoint: does not apply to the folder {found}: write --store s3://bucket/prefix/", found=found
                )
            )
    elif server is None and (given := _set(environ, "SYNCD_ENDPOINT")) is not None:
        try:
            server = endpoint_url(given)
        except InvalidValue as error:
            raise ConfigError(message("SYNCD_ENDPOINT: {cause}", cause=error)) from error
    return found, server


def store_url(given: Any) -> Any:
    """Return a folder unchanged, or the normalised url of a bucket."""
    if not isinstance(given, str):
        return given
    if given.startswith("file://"):
        return unquote(check_folder_url(given, frozenset({"file"})).removeprefix("file://"))
    if "://" in given:
        return check_folder_url(given, frozenset({"s3"}))
    if not given.strip() or "\0" in given:
        raise InvalidValue(message("is not a folder"), message("write a folder, as in ./store, or s3://bucket/prefix/"))
    return given


def endpoint_url(given: Any) -> Any:
    """Return the normalised url of an S3 server."""
    return check_folder_url(given, frozenset({"http", "https"})).rstrip("/") if isinstance(given, str) else given


def _set(environ: Mapping[str, str], name: str) -> str | None:
    """Return a variable that is set and not empty."""
    return environ.get(name) or None
