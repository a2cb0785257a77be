"""The reader for mirrors of another syncd node, over its face or its store: head, then a difference or shards.

Rules:
1. The trusted comment of the head's signature names the Snapshot. If it is the one that was read before, that is all.
2. What changed since is read from the difference between both, which the survey proves by the Snapshot's id; else all
   shards are read, those that are held already from our own store.
3. Nothing is believed before its signature or checksum: the head by a key of the manifest, or one that such a key leads
   to; snapshot.json by the head; each shard by snapshot.json; each file by its shard.
4. A Snapshot has one id: shards that are cut elsewhere, not sorted, or not written canonically are refused.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from manifests.errors import InvalidValue
from manifests.head import HeadError
from manifests.messages import message
from manifests.minisign import SignatureError
from manifests.provenance import parse_provenance
from manifests.readers.node_heads import Ask, HeadReading, state_of
from manifests.readers.node_layout import FaceLayout, StoreLayout
from manifests.readers.node_lists import checked_entries, checked_snapshot, shard_requests
from manifests.readers.node_options import MIRROR_NAME, NodeOptions
from manifests.reading import (
    ANY,
    CompletenessProof,
    Cursor,
    Deleted,
    Document,
    DocumentError,
    DocumentRequest,
    FirstFound,
    FollowMemory,
    Found,
    Gap,
    ListedEntry,
    ReaderKind,
    ReaderSource,
    ReaderWarning,
    chosen,
    unpacked,
)
from manifests.snapshot import MAX_POINTER, MAX_SNAPSHOT, Entry, SnapshotError
from manifests.snapshot_diff import MAX_LINE, parse_diff
from manifests.stat import Stat


class NodeReader(HeadReading):
    """A Reader of one mirror of another node. Pure: `follow` gives it the time, and what was read before."""

    atomic = True

    def follow(self, memory: FollowMemory) -> "NodeReader":
        """Return this reader with the facts remembered of the node."""
        return NodeReader(self._options, self._layout, memory)

    def start(self) -> Iterable[DocumentRequest]:
        """Request the head, or the Snapshot that the manifest names."""
        if self._options.follow != "current":
            wanted = Ask("snapshot", snapshot=self._options.follow)
            if isinstance(self._layout, StoreLayout):  # the pointer says where the files are
                todo = msgspec.structs.replace(wanted, kind="pointer")
                return [self._request(self._layout.pointer(), todo, MAX_POINTER)]
            return [self._snapshot(self._options.follow, wanted)]
        return [self._first("")]

    def resume(self, mark: str) -> Iterable[DocumentRequest]:
        """Request the head, and then what changed since the Snapshot of `mark`."""
        if self._options.follow != "current":
            return []
        return [self._first(mark.partition(" ")[2])]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield what one document leads to. Raises DocumentError for what must not be believed."""
        ask = msgspec.json.decode(document.asked.state, type=Ask)
        try:
            match ask.kind:
                case "signature":
                    yield from self._read_signature(document, ask)
                case "keys":
                    yield from self._read_keys(document, ask)
                case "head":
                    yield from self._read_head(document, ask)
                case "pointer":
                    yield from self._read_pointer(document, ask)
                case "diff":
                    yield from self._read_diff(document, ask)
                case "snapshot":
                    yield from self._read_snapshot(document, ask)
                case "shard":
                    yield from self._read_shard(document, ask)
                case "provenance":
                    yield from self._read_provenance(document, ask)
        except (HeadError, SignatureError, SnapshotError) as error:
            raise DocumentError(message("{url}: {cause}", url=document.url, cause=error)) from error

    # -- the lists ------------------------------------------------------------------------------------------------

    def read_lists(self, ask: Ask) -> Iterator[Found]:
        """Request the difference to what was read before if it can be proved, else the whole list."""
        if not ask.before:
            yield self._snapshot(ask.snapshot, ask)
        elif ask.before == self._memory.held and self._layout.has_differences:
            todo = msgspec.structs.replace(ask, kind="diff")
            url = self._layout.difference(ask.snapshot, ask.before)
            yield DocumentRequest(url, state=state_of(todo), optional=True, told=True)
        else:
            raise Gap  # the Snapshot before is not ours, so a difference to it would prove nothing

    def _read_diff(self, document: Document, ask: Ask) -> Iterator[Found]:
        if document.missing:
            raise Gap
        try:
            is_new = False
            for path, entry in parse_diff(unpacked(document).lines(MAX_LINE, whole=True)):
                is_new = is_new or entry is not None
                yield ListedEntry(path, entry)
                yield Deleted(path) if entry is None else self._stat(entry, ask)
            if is_new:
                yield from self._provenance([self._layout.changed_provenance(ask.snapshot, ask.before)])
        except (SnapshotError, DocumentError) as error:
            raise Gap(message("{url}: {cause}", url=document.url, cause=error)) from error

    def _read_snapshot(self, document: Document, ask: Ask) -> Iterator[Found]:
        text = document.read(MAX_SNAPSHOT)
        snapshot = checked_snapshot(text, id=ask.snapshot, sha256=ask.sha256, mirror=self._layout.mirror)
        if self._options.follow != "current":
            yield Cursor(f"{0:020d} {ask.snapshot}")
        for shard in shard_requests(snapshot):
            todo = Ask("shard", snapshot=ask.snapshot, prefix=ask.prefix, shard=shard)
            url = self._layout.shard(shard.sha256)
            yield DocumentRequest(url, state=state_of(todo), sha256=shard.sha256)

    def _read_shard(self, document: Document, ask: Ask) -> Iterator[Found]:
        assert ask.shard is not None
        for entry in checked_entries(unpacked(document), ask.shard):
            yield self._stat(entry, ask)
        if not document.is_held:  # else its files are held, too, with their provenance
            yield from self._provenance(self._layout.provenance(ask.snapshot, ask.shard.sha256, ask.shard.origins))

    def _read_provenance(self, document: Document, ask: Ask) -> Iterator[Found]:
        try:
            for path, first in parse_provenance(unpacked(document).lines(MAX_LINE)):
                yield FirstFound(path, first)
        except (SnapshotError, DocumentError) as error:
            yield ReaderWarning(message("{url}: not used: {cause}", url=document.url, cause=error))
        yield from self._provenance(ask.rest)

    def _provenance(self, urls: Sequence[str]) -> Iterator[DocumentRequest]:
        """Request lists one after the other: what a later one says counts."""
        if urls:
            yield DocumentRequest(urls[0], state=state_of(Ask("provenance", rest=tuple(urls[1:]))), optional=True)

    def _stat(self, entry: Entry, ask: Ask) -> Stat:
        url = self._layout.file(ask.snapshot, ask.prefix, entry.path)
        return Stat(entry.path, entry.size, digests={"sha256": entry.sha256}, urls=(url,))

    def _snapshot(self, snapshot: str, ask: Ask) -> DocumentRequest:
        return self._request(self._layout.snapshot(snapshot), ask, MAX_SNAPSHOT)


def open_reader(source: ReaderSource) -> NodeReader:
    """Return the reader of a source. Raises InvalidValue if the url does not name a mirror."""
    options = chosen(source, NodeOptions)
    if options.mirror is not None:
        return NodeReader(options, StoreLayout(source.url, options.mirror))
    layout = FaceLayout(source.url)
    if not source.url.startswith(("http://", "https://")):
        raise InvalidValue(
            message("is the store of a node, and does not say which of its mirrors"),
            message("write mirror: NAME beside reader: syncd"),
        )
    if MIRROR_NAME.fullmatch(layout.mirror) is None or "/mirrors/" not in source.url:
        raise InvalidValue(
            message("is not a mirror of a node"),
            message("write its page, as in https://node.example.org/mirrors/NAME/"),
        )
    return NodeReader(options, layout)


READER = ReaderKind(
    open_reader,
    NodeOptions,
    schemes=ANY,
    proof=CompletenessProof(
        end="the checksum of each list, which the signed head leads to",
        count="`files` of snapshot.json, and `count` of each shard",
    ),
)
