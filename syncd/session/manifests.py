"""Reads mirror manifests, with the schemes and readers of the installed plug-ins."""

from pathlib import Path

from manifests.messages import message
from manifests.model import ManifestError, Mirror, load_mirror
from syncd.config import read_text_file
from syncd.core import ConfigError
from syncd.session.plugin_names import names
from syncd.sources import TRANSPORTS


def parse(text: str, file: str) -> Mirror:
    """Return the mirror of a manifest's text. Raises ConfigError with every problem of the file."""
    try:
        return load_mirror(text, file, schemes=names(TRANSPORTS))
    except ManifestError as error:
        raise ConfigError(str(error)) from error


def read_manifest(file: Path) -> tuple[Mirror, str]:
    """Return the mirror that a file declares, and the file's text. Raises ConfigError."""
    try:
        text = read_text_file(file, from_pipe=True).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else message("not UTF-8 text")
        raise ConfigError(
            message("{file}: cannot be read: {reason}: give the path of a mirror manifest", file=file, reason=reason)
        ) from error
    return parse(text, str(file)), text
