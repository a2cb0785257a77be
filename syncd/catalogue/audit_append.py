"""Adds an entry to the audit log from a process that has not opened the Catalogue, also beside the daemon."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from manifests.messages import message
from syncd.catalogue.audit_log import AuditLog
from syncd.catalogue.database import Database
from syncd.catalogue.schema import SCHEMA_VERSION
from syncd.catalogue.state_folder import FILE, has_catalogue
from syncd.core import AuditView, Damaged


def append_audit_entry(folder: Path, **entry: Any) -> AuditView | None:
    """Add an entry as `AuditLog.add_audit` does; None if the state folder has no Catalogue yet.

    Another process may work with the Catalogue meanwhile: the transaction waits for its turn. Raises errors of syncd.
    """
    if not has_catalogue(folder):
        return None
    file = folder / FILE
    with _as_owner(file), Database(file) as database:
        try:
            database.connect(SCHEMA_VERSION)
        except apsw.Error as error:
            raise database.translated(error) from error
        if (found := database.version(SCHEMA_VERSION)) != SCHEMA_VERSION:
            raise Damaged(
                message("{file}: is of the older version {found}: start the daemon once", file=file, found=found)
            )
        return AuditLog(database).add_audit(**entry)


@contextmanager
def _as_owner(file: Path) -> Iterator[None]:
    """Work as the owner of a file: files that root creates beside it would be useless to the service."""
    owner, ours = file.stat().st_uid, os.geteuid()
    if ours != 0 or owner == 0:
        yield
        return
    os.seteuid(owner)
    try:
        yield
    finally:
        os.seteuid(ours)
