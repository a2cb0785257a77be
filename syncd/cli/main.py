"""Starts the command line with the garbage collector off during imports (`syncd.process.gc_tuning`)."""

import os
import sys
from contextlib import suppress
from importlib import import_module

from syncd.cli.command_names import COMMANDS
from syncd.process import disable_during_imports


def main() -> None:
    """Run `syncd`."""
    disable_during_imports()
    # or else pydantic reads the metadata of every installed package, to find plug-ins of its own
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    named = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    # the module of a command registers it; without a command, all are listed, or completed by the shell
    import_module(f"syncd.cli.commands.{named}" if named in COMMANDS else "syncd.cli.app")
    from syncd.cli.registration import app  # noqa: PLC0415  after the first line

    # if the reader closes the pipe early (`| head`), exit without a message
    with suppress(BrokenPipeError):
        app()
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
