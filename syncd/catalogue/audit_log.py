"""The audit log: entries in a hash chain (`syncd.core.audit_chain`), which several processes may lengthen.

Rules:
1. The number and hash of the last entry are also in `setting`, in the same transaction: a cut at the end is found.
2. A transaction begins by writing, so that what it reads is not older than what another process wrote before.
3. Entries of an older syncd have no hashes; the first entry of this one gives them theirs.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from manifests.messages import count, message, pack, plain, unpack
from syncd.catalogue.damage import reads_rows
from syncd.catalogue.parts import DaemonPart
from syncd.core import (
    CUT,
    GAP,
    GENESIS,
    Anchor,
    AuditVerdict,
    AuditView,
    KeyChange,
    Misfit,
    audit_hash,
    check_chain,
    message_view,
)

HEAD = "audit head"
DAY = 86_400.0
_COLUMNS = "id, at, who, door, what, mirror, changes, details, previous, hash, outcome, message"
_encode = msgspec.json.Encoder(enc_hook=plain).encode
_changes = msgspec.json.Decoder(tuple[KeyChange, ...]).decode
_details = msgspec.json.Decoder(dict[str, str]).decode
_anchor = msgspec.json.Decoder(Anchor).decode


@reads_rows
class AuditLog(DaemonPart):
    """The audit log of one Catalogue."""

    def add_audit(
        self,
        *,
        at: float,
        who: str,
        what: str,
        mirror: str,
        outcome: str,
        door: str = "",
        changes: tuple[KeyChange, ...] = (),
        details: dict[str, str] | None = None,
    ) -> AuditView:
        """Add one entry to the audit log."""
        entry = AuditView(
            id=0,
            at=at,
            who=who,
            door=door,
            what=what,
            mirror=mirror,
            changes=changes,
            details=details or {},
            outcome=outcome,
        )
        added: list[AuditView] = []
        self._db.together(lambda: added.append(self._append(entry)))
        return added[0]

    def _append(self, entry: AuditView, *, number: int | None = None) -> AuditView:
        """Add an entry inside a transaction, with a number that is free or the next one."""
        head = self._locked_head()
        outcome = unpack(str(entry.outcome), pack(entry.outcome))  # as it will be read
        sealed = msgspec.structs.replace(
            entry,
            id=number or head.entry + 1,
            previous=head.hash,
            outcome=outcome,
            message=message_view(outcome),
        )
        sealed = msgspec.structs.replace(sealed, hash=audit_hash(sealed))
        self._db.do(f"INSERT INTO audit ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", _values(sealed))  # noqa: S608  constants
        self._set_head(sealed)
        return sealed

    def _locked_head(self) -> Anchor:
        """Return the last entry's number and hash; no other process adds one until the transaction ends."""
        self._db.do("INSERT INTO setting VALUES (?, '') ON CONFLICT DO UPDATE SET value=value", (HEAD,))
        return self.audit_head() or self._last_entry()

    def _last_entry(self) -> Anchor:
        row = self._db.one("SELECT id, hash, at FROM audit ORDER BY id DESC LIMIT 1")
        return Anchor(entry=row[0], hash=row[1], at=row[2]) if row is not None else Anchor(entry=0, hash=GENESIS)

    def seal_audit(self) -> None:
        """Chain the entries of an older syncd, which have no hashes, and number them from 1 on."""
        if self.audit_head() is not None or self._db.one("SELECT 1 FROM audit LIMIT 1") is None:
            return

        def work() -> None:
            self._db.do("INSERT INTO setting VALUES (?, '') ON CONFLICT DO UPDATE SET value=value", (HEAD,))
            last: AuditView | None = None
            for row in list(self._db.rows(f"SELECT {_COLUMNS} FROM audit ORDER BY id")):  # noqa: S608  a constant
                entry = _entry(row)
                if entry.hash:  # somebody deleted the record of the last entry: a check finds that
                    return
                number = last.id + 1 if last is not None else 1
                sealed = msgspec.structs.replace(entry, id=number, previous=last.hash if last is not None else GENESIS)
                sealed = last = msgspec.structs.replace(sealed, hash=audit_hash(sealed))
                self._db.do(
                    "UPDATE audit SET id=?, previous=?, hash=? WHERE id=?",
                    (sealed.id, sealed.previous, sealed.hash, entry.id),
                )
            if last is not None:
                self._set_head(last)

        self._db.together(work)

    def _set_head(self, entry: AuditView) -> None:
        head = Anchor(entry=entry.id, hash=entry.hash, at=entry.at)
        self._db.do("UPDATE setting SET value=? WHERE name=?", (_encode(head).decode(), HEAD))

    # -- reading --------------------------------------------------------------------------------------------------

    def audit(
        self,
        before: int | None,
        limit: int,
        *,
        after: int | None = None,
        since: float | None = None,
        until: float | None = None,
        mirror: str = "",
        act: str = "",
    ) -> list[AuditView]:
        """Return entries with numbers below `before`, the newest first: of a time, of a mirror, of one kind of act.

        With `after`, entries with numbers above it, the oldest first.
        """
        order = "DESC" if after is None else "ASC"
        rows = self._db.rows(
            f"SELECT {_COLUMNS} FROM audit WHERE (?1 IS NULL OR id<?1) AND (?3 IS NULL OR at>=?3) "  # noqa: S608  constants
            "AND (?4 IS NULL OR at<?4) AND (?5='' OR mirror=?5) AND (?6='' OR what=?6) AND (?7 IS NULL OR id>?7) "
            f"ORDER BY id {order} LIMIT ?2",
            (before, limit, since, until, mirror, act, after),
        )
        return [_entry(row) for row in rows]

    def check_audit(self, anchors: Sequence[Anchor] = ()) -> AuditVerdict:
        """Check the chain, and its end against the record here and those elsewhere, `anchors`."""
        head = self.audit_head()
        found = check_chain(self.audit_entries(), (*anchors, *((head,) if head is not None else ())))
        if found.misfit is None and head is None and found.entries:
            reason = message("the record of the last entry was deleted")
            return msgspec.structs.replace(found, misfit=Misfit(entry=found.last, reason=reason))
        return found

    def audit_entries(self, after: int = 0) -> Iterator[AuditView]:
        """Yield the entries with numbers above `after`, the oldest first."""
        for row in self._db.rows(f"SELECT {_COLUMNS} FROM audit WHERE id>? ORDER BY id", (after,)):  # noqa: S608  constants
            yield _entry(row)

    def audit_head(self) -> Anchor | None:
        """Return the number and hash of the last entry as they were written; None if there was none yet."""
        row = self._db.one("SELECT value FROM setting WHERE name=?", (HEAD,))
        if row is None or not row[0]:
            return None
        with suppress(msgspec.ValidationError):
            return _anchor(row[0])
        return Anchor(entry=0, hash="")  # somebody changed it: no entry has this hash

    def audit_hash_of(self, number: int) -> str | None:
        """Return the hash of an entry, or None if there is none of this number."""
        row = self._db.one("SELECT hash FROM audit WHERE id=?", (number,))
        return None if row is None else str(row[0])

    # -- holes that are explained ---------------------------------------------------------------------------------

    def forget_audit(self, before: float, at: float | None = None) -> int:
        """Delete the oldest entries, those written before; an entry says so. At most once a day; return their number.

        `at` is the time of that entry.
        """
        at = time.time() if at is None else at
        deleted: list[int] = []

        def work() -> None:
            self._locked_head()
            recent = self._db.one("SELECT 1 FROM audit WHERE what=? AND at>?", (CUT, at - DAY))
            kept = self._db.one("SELECT min(id) FROM audit WHERE at>=?", (before,))[0]
            last, others = self._db.one(
                "SELECT max(id), count(*) FILTER (WHERE what<>?1) FROM audit WHERE ?2 IS NULL OR id<?2", (CUT, kept)
            )
            if recent is not None or not others:
                return
            number, old_hash = self._db.one(
                "SELECT (SELECT count(*) FROM audit WHERE id<=?1), hash FROM audit WHERE id=?1", (last,)
            )
            outcome = count(number, "{n} entry is past its retention", "{n:,} entries are past their retention")
            details = {"last": str(last), "hash": str(old_hash), "entries": str(number)}
            self._append(
                AuditView(
                    id=0, at=at, who="syncd", door="daemon", what=CUT, mirror="", details=details, outcome=outcome
                )
            )
            self._db.do("DELETE FROM audit WHERE id<=?", (last,))
            deleted.append(number)

        self._db.together(work)
        return sum(deleted)

    def skip_audit_to(self, anchor: Anchor, at: float) -> AuditView | None:
        """Go on after an entry that an anchor names, if this log is older than it; an entry names the missing ones."""
        added: list[AuditView] = []

        def work() -> None:
            head = self._locked_head()
            if anchor.entry <= head.entry:
                return
            details = {"first": str(head.entry + 1), "last": str(anchor.entry), "anchor": anchor.hash}
            outcome = message(
                "the entries {first} to {last} are missing: this Catalogue is older than the store",
                first=head.entry + 1,
                last=anchor.entry,
            )
            entry = _of_syncd(at, GAP, outcome, details)
            added.append(self._append(entry, number=anchor.entry + 1))

        self._db.together(work)
        return added[0] if added else None


def contradicting(log: AuditLog, anchors: Iterable[Anchor]) -> list[Anchor]:
    """Return the anchors that name an entry which the log has not, or has with another hash."""
    found = []
    for one in anchors:
        known = log.audit_hash_of(one.entry)
        head = log.audit_head()
        is_past = known is None and head is not None and one.entry < head.entry  # retention may have deleted it
        if known != one.hash and not is_past:
            found.append(one)
    return found


def _of_syncd(at: float, what: str, outcome: str, details: dict[str, str]) -> AuditView:
    return AuditView(id=0, at=at, who="syncd", door="daemon", what=what, mirror="", details=details, outcome=outcome)


def _values(entry: AuditView) -> tuple[Any, ...]:
    return (
        entry.id,
        entry.at,
        entry.who,
        entry.door,
        entry.what,
        entry.mirror,
        _encode(entry.changes).decode() if entry.changes else "",
        _encode(entry.details).decode() if entry.details else "",
        entry.previous,
        entry.hash,
        str(entry.outcome),
        pack(entry.outcome),
    )


def _entry(row: tuple[Any, ...]) -> AuditView:
    number, at, who, door, what, mirror, changes, details, previous, own_hash, outcome, packed = row
    text = unpack(outcome, packed)
    return AuditView(
        id=number,
        at=at,
        who=who,
        door=door,
        what=what,
        mirror=mirror,
        changes=_changes(changes) if changes else (),
        details=_details(details) if details else {},
        previous=previous,
        hash=own_hash,
        outcome=text,
        message=message_view(text),
    )
