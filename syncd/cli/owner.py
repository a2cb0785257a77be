"""Refuses to write as root into a state folder or a store that another user keeps.

A file that root makes there cannot be changed by the service, which then fails long after the command.
"""

import os
import pwd
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from manifests.messages import message
from syncd.config import Config
from syncd.core import ConfigError


def require_owner(config: Config) -> None:
    """Raise ConfigError, with the command to give instead, if root would write where another user does. Blocks."""
    if os.geteuid() != 0:
        return
    for place in _places(config):
        try:
            owner = place.stat().st_uid
        except OSError:
            continue  # it is made by this command, or opening it says what is wrong
        if owner == 0:
            continue
        try:
            user = pwd.getpwuid(owner).pw_name
        except KeyError:
            user = f"#{owner}"
        raise ConfigError(
            message(
                "{place}: belongs to {user}, who cannot change what root writes there: sudo -u {user} {command}",
                place=place,
                user=user,
                command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            )
        )


def _places(config: Config) -> Iterator[Path]:
    """Yield what tells who keeps the state, and who keeps the store."""
    catalogue = config.state / "catalogue.sqlite"
    yield catalogue if catalogue.exists() else config.state
    if not config.store.url.startswith("s3://"):
        yield Path(config.store.url.removeprefix("file://"))
