"""Reads the head of another node's mirror, its keys where they changed, or the pointer of a node without a key.

Rules:
1. Nothing of a head is believed before a trusted key signed it: one of the manifest, or one that such a key leads to.
2. The comment of the signature names the Snapshot. If it is the one that was read before, that is all.
"""

from collections.abc import Generator, Iterator
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

from manifests.head import (
    MAX_HEAD,
    FollowedHead,
    HeadError,
    HeadSummary,
    check_head,
    clock_difference,
    parse_comment,
    parse_head,
    summary_of,
)
from manifests.messages import message, plain
from manifests.minisign import MAX_SIGNATURE, PublicKey, Signature, SignatureError
from manifests.node_keys import MAX_KEYS, TrustedKeys, follow_chain, parse_chain
from manifests.readers.node_layout import NodeLayout, StoreLayout
from manifests.readers.node_lists import ShardRequest
from manifests.readers.node_options import NodeOptions
from manifests.reading import Cursor, Document, DocumentRequest, FollowMemory, Found, HeadFound, ReaderWarning
from manifests.snapshot import MAX_POINTER, Pointer
from manifests.timestamps import rfc3339

_encode = msgspec.json.Encoder(enc_hook=plain).encode


class Ask(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a request is for, and the facts known by then; it is the state of the request."""

    kind: Literal["signature", "keys", "head", "pointer", "diff", "snapshot", "shard", "provenance"]
    signature: str = ""
    trusted: TrustedKeys | None = None
    snapshot: str = ""
    sha256: str = ""
    prefix: str = ""
    before: str = ""
    again: bool = False
    shard: ShardRequest | None = None
    rest: tuple[str, ...] = ()


class HeadReading:
    """The part of a Reader of another node that reads its head, its keys, or its pointer."""

    def __init__(self, options: NodeOptions, layout: NodeLayout, memory: FollowMemory | None = None) -> None:
        """`memory` is None for a first look."""
        self._options = options
        self._layout = layout
        self._memory = memory or FollowMemory(FollowedHead(), 0.0)

    @property
    def _trusted(self) -> TrustedKeys:
        return self._memory.last.trusted or TrustedKeys(self._options.keys)

    def _first(self, before: str) -> DocumentRequest:
        if self._options.keys:
            return self._request(f"{self._layout.head()}.minisig", Ask("signature", before=before), MAX_SIGNATURE)
        told = isinstance(self._layout, StoreLayout)  # a node without a key has a pointer only
        url, ask = self._layout.head(), Ask("head", before=before)
        return DocumentRequest(url, state=state_of(ask), optional=told, told=told, max_bytes=MAX_HEAD)

    def _request(self, url: str, ask: Ask, max_bytes: int) -> DocumentRequest:
        return DocumentRequest(url, state=state_of(ask), max_bytes=max_bytes)

    def read_lists(self, ask: Ask) -> Iterator[Found]:
        """Request the lists that a head leads to."""
        raise NotImplementedError

    # -- the head -------------------------------------------------------------------------------------------------

    def _read_signature(self, document: Document, ask: Ask) -> Iterator[Found]:
        text = document.read(MAX_SIGNATURE)
        yield from self._check_signer(document, msgspec.structs.replace(ask, signature=text.decode("utf-8", "replace")))

    def _check_signer(self, document: Document, ask: Ask, *, is_last: bool = False) -> Iterator[Found]:
        """Follow a head whose signature is by a trusted key; else ask for the node's keys first."""
        signature = Signature.parse(ask.signature.encode())
        trusted = ask.trusted or self._trusted
        key = trusted.find(signature.key_id)
        summary = parse_comment(signature.comment) if key is None or signature.is_of_comment(key) else None
        if summary is None:
            raise SignatureError(message("the signature is not of key {key}", key=signature.key_name))
        if key is None or summary.keys > max(trusted.version, 1):
            if not is_last:
                asked = msgspec.structs.replace(ask, kind="keys", trusted=trusted)
                yield self._request(self._layout.keys(), asked, MAX_KEYS)
                return
            if key is None:
                raise SignatureError(
                    message(
                        "key {key} signed the head, and is not trusted: the trusted keys are {keys}",
                        key=signature.key_name,
                        keys=[PublicKey.parse(one).name for one in trusted.keys],
                    )
                )
        if (yield from self._accept(document, summary, ask, trusted)):
            todo = msgspec.structs.replace(ask, kind="head", trusted=trusted)
            yield self._request(self._layout.head(), todo, MAX_HEAD)

    def _read_keys(self, document: Document, ask: Ask) -> Iterator[Found]:
        assert ask.trusted is not None
        trusted = follow_chain(parse_chain(document.read(MAX_KEYS)), ask.trusted, self._memory.now)
        yield from self._check_signer(document, msgspec.structs.replace(ask, trusted=trusted), is_last=True)

    def _accept(
        self, document: Document, head: HeadSummary, ask: Ask, trusted: TrustedKeys | None
    ) -> Generator[Found, None, bool]:
        """Yield the facts to remember of a head; return True if there is more to read. Raises HeadError."""
        memory = self._memory
        skew = clock_difference(head.node, _date(document), memory.now)
        try:
            told = check_head(head, mirror=self._layout.mirror, node=memory.node, last=memory.last, now=memory.now)
            self._check_age(head)
        except HeadError as error:
            raise HeadError(message("{cause}; {skew}", cause=error, skew=skew)) if skew else error from error
        yield from (ReaderWarning(text) for text in dict.fromkeys((*told, *([skew] if skew else []))))
        yield HeadFound(
            FollowedHead(
                memory.last.source,
                head.node,
                head.seq,
                head.snapshot,
                head.checked,
                head.expires,
                head.via,
                trusted if trusted is not None and trusted.version else None,
            )
        )
        yield Cursor(f"{head.seq:020d} {head.snapshot}")
        return head.snapshot != ask.before

    def _check_age(self, head: HeadSummary) -> None:
        most = self._options.max_age
        if most is not None and self._memory.now - head.checked > most:
            checked = rfc3339(head.checked)
            raise HeadError(message("the original was last surveyed at {time}, before source.max_age", time=checked))

    def _read_head(self, document: Document, ask: Ask) -> Iterator[Found]:
        if document.missing and isinstance(self._layout, StoreLayout):
            todo = Ask("pointer", before=ask.before)
            yield self._request(self._layout.pointer(), todo, MAX_POINTER)
            return
        text = document.read(MAX_HEAD)
        if not ask.signature:
            head = parse_head(text)
            if not (yield from self._accept(document, summary_of(head), ask, None)):
                return
        else:
            signature = Signature.parse(ask.signature.encode())
            key = (ask.trusted or self._trusted).find(signature.key_id)
            if key is None or not signature.is_of(key, text):
                if ask.again:
                    raise SignatureError(message("the signature is not of this head"))
                # both were written anew between the two requests
                again = Ask("signature", trusted=ask.trusted, before=ask.before, again=True)
                yield self._request(f"{self._layout.head()}.minisig", again, MAX_SIGNATURE)
                return
            head = parse_head(text)
            if summary_of(head) != parse_comment(signature.comment):
                raise HeadError(message("the head says something else than the comment of its signature"))
        more = Ask("snapshot", snapshot=head.snapshot, sha256=head.snapshot_json, prefix=head.prefix, before=ask.before)
        yield from self.read_lists(more)

    def _read_pointer(self, document: Document, ask: Ask) -> Iterator[Found]:
        try:
            pointer = msgspec.json.decode(document.read(MAX_POINTER), type=Pointer)
        except msgspec.MsgspecError as error:
            raise HeadError(message("not a pointer: {cause}", cause=str(error))) from error
        if ask.snapshot:
            yield from self.read_lists(msgspec.structs.replace(ask, kind="snapshot", prefix=pointer.prefix))
            return
        state = pointer.head
        summary = HeadSummary(
            "",
            pointer.mirror,
            state.seq if state is not None else 0,
            pointer.snapshot,
            self._memory.now,
            state.checked if state is not None and state.checked else pointer.published,
            self._memory.now + 1,
            via=state.via if state is not None else (),
        )
        if (yield from self._accept(document, summary, ask, None)):
            yield from self.read_lists(
                Ask("snapshot", snapshot=summary.snapshot, prefix=pointer.prefix, before=ask.before)
            )


def state_of(ask: Ask) -> str:
    """Return the state of a request."""
    return _encode(ask).decode()


def _date(document: Document) -> float | None:
    """Return the time of the server that answered, in seconds since the epoch."""
    try:
        return parsedate_to_datetime(document.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None
