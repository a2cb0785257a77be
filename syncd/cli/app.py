"""The command line of syncd.

Exit codes: 0 done · 1 some files failed, the rest is done and recorded · 2 usage or manifest · 3 stopped by a
safeguard (deletions held, lease held, no space, Catalogue damaged) · 4 source or store unreachable · 130 interrupted.
"""

import os
import sys
from contextlib import suppress
from importlib import import_module

from syncd.cli.registration import app

COMMANDS = (
    "check",
    "survey",
    "plan",
    "sync",
    "run",
    "verify",
    "status",
    "snapshots",
    "diff",
    "sums",
    "rollback",
    "approve",
    "reject",
    "undelete",
    "restore",
    "unpin",
    "forget",
    "rebuild",
    "probe",
    "token",
    "library",
)
"""The modules of `syncd.cli.commands`, in the order in which `syncd --help` shows their commands."""

for _name in COMMANDS:
    import_module(f"syncd.cli.commands.{_name}")  # registers its command


def main() -> None:
    """Run the program."""
    # if the reader closes the pipe early (`| head`), exit without a message
    with suppress(BrokenPipeError):
        app()
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


__all__ = ["COMMANDS", "app", "main"]
