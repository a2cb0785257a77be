"""The hash chain of the audit log: each entry holds the hash of the one before, so that a change or a cut is found.

Rules:
1. An entry's hash is the sha256 of its JSON without `hash`: keys sorted, no blanks, ASCII (`json.dumps(entry,
   sort_keys=True, separators=(",", ":"))`). Fields that are absent in an exported line count with their defaults.
2. Numbers go up by one. The first entry's `previous` is 64 zeros.
3. Two kinds of entries explain a hole. CUT: retention deleted all entries up to a number. GAP: the Catalogue was older
   than the anchor in the store (it was restored, rebuilt, or cut), so numbers were left out; that stays a finding.
4. An anchor is the number and hash of an entry, kept elsewhere. An entry that an anchor names must be there.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import msgspec

from manifests.messages import message, plain
from syncd.core.pass_views import AuditView

GENESIS = "0" * 64
CUT, GAP = "audit cut", "audit gap"


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """The last entry of an audit log at some time."""

    entry: int
    hash: str
    at: float = 0.0


class Misfit(msgspec.Struct, frozen=True, kw_only=True):
    """The first entry of an audit log that does not fit, and why."""

    entry: int
    reason: str


class AuditVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of an audit log found; `misfit` is None if all of it fits."""

    entries: int
    first: int
    last: int
    hash: str
    misfit: Misfit | None = None


def audit_hash(entry: AuditView) -> str:
    """Return the hash that an entry must have."""
    fields: dict[str, Any] = msgspec.to_builtins(entry, enc_hook=plain)
    del fields["hash"]
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check_chain(entries: Iterable[AuditView], anchors: Iterable[Anchor] = (), *, is_whole: bool = True) -> AuditVerdict:
    """Check a log, the oldest entry first; `is_whole`: it must have every entry that retention did not delete."""
    check = _ChainCheck(anchors, is_whole=is_whole)
    for entry in entries:
        if (misfit := check.add(entry)) is not None:
            return check.verdict(misfit)
    return check.verdict(check.end())


class _ChainCheck:
    def __init__(self, anchors: Iterable[Anchor], *, is_whole: bool) -> None:
        self._anchors = sorted(anchors, key=lambda one: one.entry)
        self._hashes: dict[int, set[str]] = {}
        for one in self._anchors:
            self._hashes.setdefault(one.entry, set()).add(one.hash)
        self._is_whole = is_whole
        self._first: AuditView | None = None
        self._last: AuditView | None = None
        self._count = 0
        self._cut_explained = False
        self._gap: Misfit | None = None

    def add(self, entry: AuditView) -> Misfit | None:
        """Take the next entry; return what does not fit."""
        if audit_hash(entry) != entry.hash:
            return Misfit(entry=entry.id, reason=message("its content was changed after it was written"))
        if self._hashes.get(entry.id, {entry.hash}) != {entry.hash}:
            reason = message("it is another one than the entry of this number that was recorded elsewhere")
            return Misfit(entry=entry.id, reason=reason)
        if (misfit := self._follows(entry)) is not None:
            return misfit
        self._first = self._first or entry
        if entry.what == CUT and entry.details.get("last") == str(self._first.id - 1):
            self._cut_explained |= entry.details.get("hash") == self._first.previous
        self._last = entry
        self._count += 1
        return None

    def _follows(self, entry: AuditView) -> Misfit | None:
        last = self._last
        expected = last.id + 1 if last is not None else 1
        if entry.id != expected and _explains(entry, expected):
            if self._gap is None:
                self._gap = Misfit(entry=expected, reason=_missing(expected, entry.id - 1))
        elif last is not None and entry.id > expected:
            return Misfit(entry=expected, reason=_missing(expected, entry.id - 1))
        elif last is not None and entry.id < expected:
            reason = message("its number is not larger than that of the entry before")
            return Misfit(entry=entry.id, reason=reason)
        elif last is None and entry.id > 1:
            return None  # retention deleted those before: `end` looks for the entry that says so
        wanted = last.hash if last is not None else GENESIS
        if entry.previous == wanted:
            return None
        return Misfit(entry=entry.id, reason=message("it does not follow the entry before it"))

    def end(self) -> Misfit | None:
        """Return what does not fit once all entries were read."""
        first = self._first
        last = self._last.id if self._last is not None else 0
        starts_late = first is not None and first.id > 1 and not _explains(first, 1)
        if first is not None and starts_late and self._is_whole and not self._cut_explained:
            return Misfit(entry=1, reason=_missing(1, first.id - 1))
        if self._gap is not None:
            return self._gap
        if self._anchors and (known := self._anchors[-1].entry) > last:
            return Misfit(entry=last + 1, reason=_missing(last + 1, known))
        return None

    def verdict(self, misfit: Misfit | None) -> AuditVerdict:
        """Return what was found."""
        first, last = self._first, self._last
        return AuditVerdict(
            entries=self._count,
            first=first.id if first is not None else 0,
            last=last.id if last is not None else 0,
            hash=last.hash if last is not None else GENESIS,
            misfit=misfit,
        )


def _explains(entry: AuditView, expected: int) -> bool:
    """Return True if an entry says that the numbers from `expected` up to its own were left out."""
    return (
        entry.what == GAP
        and entry.details.get("first") == str(expected)
        and entry.details.get("last") == str(entry.id - 1)
    )


def _missing(first: int, last: int) -> str:
    if first == last:
        return message("it is missing")
    return message("the entries {first} to {last} are missing", first=first, last=last)
