"""What must hold at every moment of a simulated history: the promises, checked at each change of the store.

The checks read the objects of the store themselves, and nothing that the program says of them.
"""

import asyncio
import gzip
import hashlib
from collections.abc import Iterator

import msgspec

from manifests.snapshot import Entry, Pointer, Snapshot, entries_of, identity, lines, origins_of, sums_line, unpack
from tests.simulation.event_loop import EPOCH, current_process
from tests.simulation.memory_store import Shelf, StoredObject
from tests.simulation.upstream import SECRET, Upstream

MIRROR = "m"
PREFIX = f"{MIRROR}/"
POINTER = f".syncd/mirrors/{MIRROR}.json"
LEASE = ".syncd/lease.json"
SHARDS = f".syncd/shards/{MIRROR}/"
KEPT_UNDER = (f".syncd/versions/{MIRROR}/", f".syncd/removed/{MIRROR}/")


class Violation(AssertionError):
    """A promise was broken: its name, and what was seen."""

    def __init__(self, promise: str, seen: str) -> None:
        super().__init__(f"{promise}: {seen}")
        self.promise, self.seen = promise, seen


class Invariants:
    """The promises about one shelf, whose mirror copies `upstream`."""

    def __init__(self, shelf: Shelf, upstream: Upstream) -> None:
        self.shelf, self.upstream = shelf, upstream
        self.rotten: set[tuple[str, str]] = set()
        """Content that was damaged on purpose, by path and checksum: where it stays, it is no fault of the program."""
        self.retained: dict[tuple[str, str], str] = {}
        """What the kept snapshots name, by path and checksum, with a snapshot that names it."""

    # -- at each change of the store --

    def check_change(self, what: str, path: str, old: StoredObject | None, new: StoredObject | None) -> None:
        self._check_writer(what, path)
        if new is not None:
            self._check_content(path, new)
        if old is not None and (new is None or new.sha256 != old.sha256) and (name := logical_path(path)) is not None:
            self._check_nothing_lost(what, path, name, old.sha256)
        if path == POINTER:
            self._check_pointer()
        elif new is None and path.endswith("/snapshot.json"):  # it expired after the pointer was written
            self._note_retained()

    def _check_writer(self, what: str, path: str) -> None:
        """P3: only the process that holds the lease changes anything."""
        process, lease = current_process(), self.shelf.objects.get(LEASE)
        if process is None or lease is None or path in (LEASE, ".syncd/store.json"):
            return
        held = msgspec.json.decode(lease.body)
        if held["expires"] > now() and held["pid"] != process.number:
            raise Violation("P3", f"{what} {path} by process {process.number}, while {held['pid']} holds the lease")

    def _check_content(self, path: str, new: StoredObject) -> None:
        if SECRET.encode() in new.body:
            raise Violation("P10", f"{path}: the secret of upstream's url is in the store")
        if not path.startswith(PREFIX):
            return
        name = path.removeprefix(PREFIX)
        if new.sha256 not in self.upstream.history.get(name, ()) and (name, new.sha256) not in self.rotten:
            raise Violation("P1", f"{path}: {len(new.body)} bytes are visible that upstream never had")

    def _check_nothing_lost(self, what: str, path: str, name: str, sha256: str) -> None:
        """P6: what a kept snapshot names is somewhere, whatever was replaced or deleted."""
        snapshot = self.retained.get((name, sha256))
        if snapshot is None or (name, sha256) in self.rotten or sha256 in self._content_of(name):
            return
        raise Violation("P6", f"{what} {path}: was the last copy of what kept snapshot {snapshot[:8]} names")

    def _content_of(self, name: str) -> set[str]:
        """Return the checksums of all bytes that are kept for a path."""
        objects = self.shelf.objects
        found = {objects[PREFIX + name].sha256} if PREFIX + name in objects else set()
        return found | {one.sha256 for key, one in objects.items() if logical_path(key) == name}

    def _check_pointer(self) -> None:
        """P1, P2: the pointer names a snapshot that is there in whole, and all that it names is there."""
        pointer = self.pointer()
        if pointer is None:
            raise Violation("P4", "the pointer was deleted")
        entries = self.entries(pointer.snapshot)
        for entry in entries:
            found = self.shelf.objects.get(PREFIX + entry.path)
            if (entry.path, entry.sha256) in self.rotten:
                continue
            if found is None or found.sha256 != entry.sha256:
                seen = "is not there" if found is None else f"has sha256 {found.sha256[:8]}, not {entry.sha256[:8]}"
                raise Violation("P2", f"{PREFIX}{entry.path} {seen}, and the pointer names it")
        self._note_retained()
        for (name, sha256), snapshot in self.retained.items():
            if (name, sha256) not in self.rotten and sha256 not in self._content_of(name):
                raise Violation("P6", f"{name}: the bytes that kept snapshot {snapshot[:8]} names are nowhere")

    def _note_retained(self) -> None:
        """Take note of what the kept snapshots name that are there."""
        pointer = self.pointer()
        self.retained = {
            (entry.path, entry.sha256): snapshot
            for snapshot in (pointer.kept if pointer is not None else ())
            if self._path_of(snapshot) in self.shelf.objects
            for entry in self.entries(snapshot)
        }

    # -- what stands in the store --

    def pointer(self) -> Pointer | None:
        found = self.shelf.objects.get(POINTER)
        return None if found is None else msgspec.json.decode(found.body, type=Pointer)

    def current(self) -> dict[str, Entry]:
        """Return what the pointer names, by path."""
        pointer = self.pointer()
        return {} if pointer is None else {entry.path: entry for entry in self.entries(pointer.snapshot)}

    @staticmethod
    def _path_of(snapshot: str) -> str:
        return f".syncd/snapshots/{MIRROR}/{snapshot}/snapshot.json"

    def entries(self, name: str) -> list[Entry]:
        """Return the Entries of a snapshot, each part proved by its checksum."""
        snapshot = msgspec.json.decode(self._read(self._path_of(name)), type=Snapshot)
        if identity(snapshot.content) != name or snapshot.id != name:
            raise Violation("P1", f"snapshot {name[:8]} has content of {identity(snapshot.content)[:8]}")
        entries: list[Entry] = []
        for shard, names in zip(snapshot.content.shards, snapshot.origins, strict=True):
            rows = [*entries_of(unpack(self._read(f"{SHARDS}{shard.sha256}.jsonl.gz"), shard.sha256))]
            entries += rows
            if missing := {row.path for row in rows} - self._origins(names):
                raise Violation("P4", f"snapshot {name[:8]} does not say where {sorted(missing)} came from")
        self._check_sums(snapshot, b"".join(map(sums_line, entries)))
        return entries

    def _origins(self, names: str) -> set[str]:
        """Return the paths of the lists of Origins of a shard."""
        found: set[str] = set()
        for name in names.split():
            beside = unpack(self._read(f"{SHARDS}{name}.origins.jsonl.gz"), name)
            if SECRET.encode() in beside:
                raise Violation("P10", "the secret of upstream's url is in the origins")
            rows = [*origins_of(beside)]
            if hashlib.sha256(lines(rows)).hexdigest() != name or rows != sorted(rows, key=lambda row: row.path):
                raise Violation("P1", f"origins {name[:8]} are not canonical")
            found |= {row.path for row in rows}
        return found

    def _check_sums(self, snapshot: Snapshot, wanted: bytes) -> None:
        folder, pointer = f".syncd/snapshots/{MIRROR}/{snapshot.id}/", self.pointer()
        is_current = pointer is not None and pointer.snapshot == snapshot.id
        has_whole = f"{folder}SHA256SUMS" in self.shelf.objects or (is_current and not snapshot.sums)
        if has_whole and self._read(f"{folder}SHA256SUMS") != wanted:
            raise Violation("P1", f"snapshot {snapshot.id[:8]}: SHA256SUMS lists something else")
        if snapshot.sums:
            parts = [self._read(path) for path in self._read(f"{folder}SHA256SUMS.parts").decode().splitlines()]
            if b"".join(map(gzip.decompress, parts)) != wanted:
                raise Violation("P1", f"snapshot {snapshot.id[:8]}: the parts of SHA256SUMS list something else")

    def _read(self, path: str) -> bytes:
        if (found := self.shelf.objects.get(path)) is None:
            raise Violation("P2", f"{path} is not there, and the pointer needs it")
        return found.body

    # -- when nothing moves --

    def unexplained(self, allowed_natural: set[str]) -> Iterator[str]:
        """Yield the keys that neither the pointer nor a kept snapshot explains."""
        pointer = self.pointer()
        fixed = {POINTER, LEASE, ".syncd/store.json"}
        for snapshot in pointer.kept:
            folder = f".syncd/snapshots/{MIRROR}/{snapshot}/"
            if self._path_of(snapshot) in self.shelf.objects:
                fixed |= {f"{folder}{name}" for name in ("snapshot.json", "SHA256SUMS", "SHA256SUMS.parts")}
                kept = msgspec.json.decode(self._read(self._path_of(snapshot)), type=Snapshot)
                fixed |= {f"{SHARDS}{shard.sha256}.jsonl.gz" for shard in kept.content.shards}
                fixed |= {f"{SHARDS}{name}.origins.jsonl.gz" for names in kept.origins for name in names.split()}
                if kept.sums:
                    fixed |= {f"{SHARDS}{shard.sha256}.sums.gz" for shard in kept.content.shards}
        removed = f".syncd/removed/{MIRROR}/"
        of = {key.removeprefix(removed).partition("/")[0] for key in self.shelf.objects if key.startswith(removed)}
        for key, found in self.shelf.objects.items():
            name = logical_path(key)
            if key.startswith(removed) and key.removeprefix(removed).partition(".")[0] in of - {""} and not name:
                continue  # the list of files that are kept there
            if key in fixed or key.startswith(f".syncd/quarantine/{MIRROR}/"):
                continue
            if key.startswith(PREFIX) and key.removeprefix(PREFIX) in allowed_natural:
                continue
            if (
                name is not None
                and not key.startswith(PREFIX)
                and (name, found.sha256) in (self.retained.keys() | self.rotten)
            ):
                continue
            yield key


def logical_path(key: str) -> str | None:
    """Return the path in the mirror of a key that holds its bytes: under its own name, as a version, or removed."""
    if key.startswith(PREFIX):
        return key.removeprefix(PREFIX)
    for folder in KEPT_UNDER:
        if key.startswith(folder):
            return key.removeprefix(folder).partition("/")[2]
    return None


def now() -> float:
    return EPOCH + asyncio.get_running_loop().time()
