"""Writes what a command does for a person to the audit log, as the daemon does."""

import getpass
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from manifests.messages import message
from syncd.catalogue import append_audit_entry
from syncd.cli.output import print_warning
from syncd.control import Actor
from syncd.core import SyncdError
from syncd.session import Session


class AuditedAct:
    """What a command does; `outcome` is set before it ends."""

    def __init__(self) -> None:
        self.outcome: str = message("done")
        self.details: dict[str, str] = {}


@contextmanager
def audited(session: Session, mirror: str, what: str) -> Iterator[AuditedAct]:
    """Write one entry when the block ends, also if it fails."""
    act = AuditedAct()
    try:
        yield act
    except SyncdError as error:
        act.outcome = message("failed: {error}", error=error)
        raise
    finally:
        who = person()
        session.catalogue.pass_history.add_audit(
            at=time.time(),
            who=str(who),
            door=who.door,
            what=what,
            mirror=mirror,
            outcome=act.outcome,
            details=who.details | act.details,
        )


def manifest_by() -> dict[str, str]:
    """Return who brings a manifest by the command line."""
    who = person()
    return {"who": str(who), "door": who.door}


def write_audit_entry(state: Path, what: str, outcome: str, *, details: dict[str, str] | None = None) -> None:
    """Write an entry for an act that needs no session, also beside a running daemon.

    Without a Catalogue there is no log yet. One that cannot be written is reported, and the act stays done.
    """
    who = person()
    try:
        append_audit_entry(
            state,
            at=time.time(),
            who=str(who),
            door=who.door,
            what=what,
            mirror="",
            outcome=outcome,
            details=who.details | (details or {}),
        )
    except SyncdError as error:
        print_warning(message("the audit log could not be written: {error}", error=error), json=False)


def person() -> Actor:
    """Return who runs the command."""
    try:
        name = f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # a user without a name
        name = "command line"
    return Actor(name, "cli", uid=os.getuid())
