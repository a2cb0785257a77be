"""Writes manifests that commands made into a folder; a file that exists is never changed."""

from pathlib import Path

from manifests.messages import message
from manifests.model import load_mirror
from syncd.core import ConfigError


def write_manifest(text: str, folder: Path) -> Path:
    """Write a manifest under its mirror's name, and return its file. Raises ConfigError if it cannot be written."""
    if not folder.is_dir():
        raise ConfigError(message("{folder}: is not a folder: create it, or name another", folder=folder))
    file = folder / f"{load_mirror(text, 'the manifest').name}.yaml"
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise ConfigError(
            message("{file}: exists already and was not changed: delete it, or name another folder", file=file)
        ) from error
    except OSError as error:
        raise ConfigError(message("{file}: cannot be written: {cause}", file=file, cause=error.strerror)) from error
    return file
