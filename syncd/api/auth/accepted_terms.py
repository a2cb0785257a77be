"""Who accepted which terms, and when: a file in the state folder to which lines are appended.

Rules:
1. A line is on the disk before an acceptance is confirmed. A torn last line, after a power failure, is ignored.
2. An acceptance is of one version of the terms (`Publish.terms_version`): changed terms are accepted again.
3. Several processes may append and read: the file is read again when it has grown.
"""

import os
import threading
from pathlib import Path

import msgspec

from manifests.messages import plain

TERMS_FILE = "accepted-terms.jsonl"


class Acceptance(msgspec.Struct, frozen=True):
    """One acceptance: the token's name, the mirror, the version of its terms, and the time."""

    partner: str
    mirror: str
    version: str
    at: float


class AcceptedTerms:
    """The acceptances of one state folder; safe to use from several threads. It blocks for a moment."""

    def __init__(self, state: Path) -> None:
        """`state` is the folder of the state, which exists."""
        self._file = state / TERMS_FILE
        self._lock = threading.Lock()
        self._read_until = 0
        self._versions: dict[str, frozenset[str]] = {}

    def accept(self, partner: str, mirror: str, version: str, at: float) -> None:
        """Record an acceptance; nothing if it is recorded already."""
        if version in self.versions(partner):
            return
        line = msgspec.json.encode(Acceptance(partner, mirror, version, at), enc_hook=plain) + b"\n"
        fd = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if (size := os.fstat(fd).st_size) and not _ends_line(self._file, size):
                line = b"\n" + line  # after a torn line
            os.write(fd, line)
            os.fsync(fd)
        finally:
            os.close(fd)

    def versions(self, partner: str) -> frozenset[str]:
        """Return the versions of terms that a partner accepted."""
        with self._lock:
            self._read_more()
            return self._versions.get(partner, frozenset())

    def _read_more(self) -> None:
        try:
            size = self._file.stat().st_size
        except FileNotFoundError:
            size = 0
        if size < self._read_until:  # another file: the state was restored
            self._read_until, self._versions = 0, {}
        if size == self._read_until:
            return
        with self._file.open("rb") as file:
            file.seek(self._read_until)
            body = file.read(size - self._read_until)
        whole = body[: body.rfind(b"\n") + 1]
        self._read_until += len(whole)
        for line in whole.splitlines():
            try:
                found = msgspec.json.decode(line, type=Acceptance)
            except msgspec.DecodeError:
                continue
            self._versions[found.partner] = self._versions.get(found.partner, frozenset()) | {found.version}


def _ends_line(file: Path, size: int) -> bool:
    with file.open("rb") as opened:
        opened.seek(size - 1)
        return opened.read(1) == b"\n"
