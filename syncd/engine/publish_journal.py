"""The journal of a publish in the store: the moves that are about to be made, for the case that the Catalogue is lost.

Rules:
1. It is written before the first move of a publish, and leaves its place after the pointer names the new Snapshot.
2. It holds the removals and replacements. Additions are under their final names already, and the next pass finds them.
3. A publish that goes on where another was interrupted adds to its journal: what had been moved stays in it.
4. A journal that removed files becomes their record beside the bytes: no kept Snapshot may name them any more.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Literal, TypeVar

import msgspec

from manifests.messages import message, plain
from manifests.snapshot import Entry, Origin
from syncd.catalogue import Catalogue, MirrorRow, RemovedFile, Swap
from syncd.core import Damaged, NotFound, Store, next_turn
from syncd.engine.pass_paths import PassPaths
from syncd.engine.write_document import write_document

T = TypeVar("T", RemovedFile, Swap)

PAGE = 100  # rows of the Catalogue read between two turns of the event loop
MAX_LINE = 1 << 20  # bytes of the record of one file

_encode = msgspec.json.Encoder(enc_hook=plain).encode


class JournalHead(msgspec.Struct, frozen=True):
    """The first line: the Snapshot that the publish replaces, when it began, and how many files it removes."""

    mirror: str
    snapshot: str
    at: float
    removed: int


class JournaledMove(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file that leaves its final name, or that `staged` bytes replace; `at` is when it was removed."""

    act: Literal["remove", "replace"]
    entry: Entry
    origin: Origin
    at: float = 0.0
    staged: str = ""
    old_bytes: int = 0
    old_sha256: str = ""


class _FirstLine(msgspec.Struct):
    publish: JournalHead


async def write_journal(
    store: Store, catalogue: Catalogue, mirror: MirrorRow, place: PassPaths, snapshot: str, now: Callable[[], float]
) -> JournalHead:
    """Write what the Catalogue says is about to be moved; return its head. Raises Damaged for an earlier journal."""
    removed = catalogue.holdings.count_in_place(mirror.id)
    earlier = await read_head(store, place.journal)
    if earlier is not None and earlier.snapshot != snapshot:
        earlier = None  # its publish ended
    if earlier is not None:
        async with aclosing(_made_moves(store, catalogue, mirror, place)) as made:
            removed += len([move async for move in made if move.act == "remove"])
    head = JournalHead(mirror.name, snapshot, now() if earlier is None else earlier.at, removed)

    async def moves() -> AsyncGenerator[JournaledMove, None]:
        if earlier is not None:
            async with aclosing(_made_moves(store, catalogue, mirror, place)) as made:
                async for move in made:
                    yield move
        async for one in _pages(lambda after: catalogue.holdings.removed_in_place(mirror.id, after, PAGE)):
            yield JournaledMove("remove", one.entry, one.origin, at=one.removed)
        async for swap in _pages(lambda after: catalogue.journal.swaps(mirror.id, after, PAGE)):
            yield JournaledMove(
                "replace",
                swap.entry,
                swap.origin,
                staged=swap.staged,
                old_bytes=swap.old_bytes,
                old_sha256=swap.old_sha256,
            )

    async def lines() -> AsyncGenerator[bytes, None]:
        yield b'{"publish":' + _encode(head) + b',"moves":['
        separator = b"\n"
        async with aclosing(moves()) as all_moves:
            async for move in all_moves:
                yield separator + _encode(move)
                separator = b",\n"
        yield b"\n]}\n"

    await write_document(store, place.journal, lines())
    return head


async def _made_moves(
    store: Store, catalogue: Catalogue, mirror: MirrorRow, place: PassPaths
) -> AsyncGenerator[JournaledMove, None]:
    """Yield the moves of the journal in the store that do not wait any more: they were made before the interruption."""
    async with aclosing(read_moves(store, place.journal)) as moves:
        async for move in moves:
            path = move.entry.path
            if catalogue.journal.swap(mirror.id, path) is None and not catalogue.holdings.leaves(mirror.id, path):
                yield move


async def _pages(read: Callable[[str], list[T]]) -> AsyncGenerator[T, None]:
    after = ""
    while page := read(after):
        for one in page:
            yield one
        after = page[-1].path
        await next_turn()


async def close_journal(store: Store, place: PassPaths, head: JournalHead, *, is_list: bool = True) -> None:
    """End the journal once the pointer names the new Snapshot; `is_list` keeps it as the list of removed files."""
    if head.removed and is_list:
        await store.move(place.journal, removal_list_path(place, head))
    else:
        await store.delete(place.journal)


def removal_list_path(place: PassPaths, head: JournalHead) -> str:
    """Return the path of the record of the files that a publish removed."""
    return f"{place.all_removed}{head.snapshot}.{head.at * 1e6:.0f}.json"


async def read_head(store: Store, path: str) -> JournalHead | None:
    """Return the head of a journal, or None if there is none. Raises Damaged."""
    async with aclosing(_lines(store, path)) as lines:
        async for line in lines:
            return _head(path, line)
    return None


async def read_moves(store: Store, path: str) -> AsyncGenerator[JournaledMove, None]:
    """Yield the moves of a journal or of a record. Raises Damaged."""
    decode = msgspec.json.Decoder(JournaledMove).decode
    is_head = True
    async with aclosing(_lines(store, path)) as lines:
        async for line in lines:
            if is_head:
                _head(path, line)
                is_head = False
            elif line == b"]}":
                return
            else:
                try:
                    yield decode(line.removesuffix(b","))
                except msgspec.MsgspecError as error:
                    raise Damaged(
                        message("{path}: not the journal of a publish: {cause}", path=path, cause=error)
                    ) from error
    if not is_head:
        raise Damaged(message("{path}: ends before its end", path=path))


def _head(path: str, line: bytes) -> JournalHead:
    try:
        return msgspec.json.decode(line + b"]}", type=_FirstLine).publish
    except msgspec.MsgspecError as error:
        raise _not_a_journal(path, error) from error


def _not_a_journal(path: str, error: Exception) -> Damaged:
    return Damaged(message("{path}: not the journal of a publish: {cause}", path=path, cause=error))


async def _lines(store: Store, path: str) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a document; none if it is missing."""
    rest = b""
    try:
        async with store.open(path) as body:
            async for chunk in body:
                *whole, rest = (rest + chunk).split(b"\n")
                if len(rest) > MAX_LINE:
                    raise Damaged(message("{path}: a line of more than {limit} bytes", path=path, limit=MAX_LINE))
                for line in whole:
                    yield line
    except NotFound:
        return
