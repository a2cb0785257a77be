"""Asks another node for the head of a mirror: what it has, how fresh that is, and whether a trusted key says so."""

import asyncio
import io
from datetime import UTC, datetime

import msgspec
from pydantic import BaseModel

from manifests.head import FollowedHead
from manifests.messages import message, pack, plain
from manifests.reading import DocumentError, DocumentRequest, FollowMemory, FollowsNode, HeadFound, Reader, installed
from syncd.catalogue import CatalogueSettings
from syncd.config import PeerSettings
from syncd.core import NotFound, SyncdError, Transport, redact
from syncd.session.session import Session
from syncd.sources import open_upstream
from syncd.streams import fetch
from syncd.wrappers import Policy

ATTEMPTS = 2
LONGEST = 60.0  # seconds for one head
DOCUMENTS = 8  # of one head, at most: signature, keys, head, and again


class PeerCopy(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was heard last of one mirror of a peer; `error` is why the last answer was none, `packed` has its values."""

    head: FollowedHead = FollowedHead()
    answered: float = 0.0
    is_proved: bool = False
    error: str = ""
    packed: str = ""


class _NodeSource(msgspec.Struct, frozen=True):
    url: str
    options: BaseModel


_decode = msgspec.json.Decoder(dict[str, PeerCopy]).decode


def peer_copies(settings: CatalogueSettings, peer: PeerSettings) -> dict[str, PeerCopy]:
    """Return what was heard last of each mirror of a peer."""
    written = settings.get(f"peer:{peer.url}")
    return _decode(written) if written else {}


def save_peer_copies(settings: CatalogueSettings, peer: PeerSettings, copies: dict[str, PeerCopy]) -> None:
    """Record what was heard of a peer."""
    settings.set(f"peer:{peer.url}", msgspec.json.encode(copies, enc_hook=plain).decode())


async def ask_peer(session: Session, peer: PeerSettings, mirror: str, before: PeerCopy) -> PeerCopy:
    """Ask a peer for the head of a mirror; return its copy as it is known then."""
    url = f"{peer.url}mirrors/{mirror}/"
    now = session.now()
    try:
        upstream = await asyncio.to_thread(session.peer_upstream, url)
        transport = open_upstream(upstream, session.governors, policy=Policy(attempts=ATTEMPTS, holds=False))
        try:
            async with asyncio.timeout(LONGEST):
                head = await _read_head(transport, _reader(peer, url, FollowMemory(before.head, now)))
        finally:
            await transport.aclose()
    except NotFound:
        return _failed(before, message("publishes no head of this mirror"))
    except TimeoutError:
        return _failed(before, message("did not answer within {seconds:g} s", seconds=LONGEST))
    except (SyncdError, DocumentError) as error:
        return _failed(before, redact(str(error)))
    return PeerCopy(head, now, is_proved=bool(peer.keys))


def _failed(before: PeerCopy, error: str) -> PeerCopy:
    return msgspec.structs.replace(before, error=error, packed=pack(error))


def _reader(peer: PeerSettings, url: str, memory: FollowMemory) -> Reader:
    kind = installed()["syncd"]
    options = {"keys": list(peer.keys)} if peer.keys else {"trust": "transport"}
    reader = kind.opened(_NodeSource(url, kind.options.model_validate(options)), datetime.now(UTC).date())
    assert isinstance(reader, FollowsNode)
    return reader.follow(memory)


async def _read_head(transport: Transport, reader: Reader) -> FollowedHead:
    waiting = list(reader.start())
    for _ in range(DOCUMENTS):
        if not waiting:
            break
        document = await fetch(transport, waiting.pop(0), io.BytesIO())
        for found in reader.read(document):
            if isinstance(found, HeadFound):
                return found.head
            if isinstance(found, DocumentRequest):
                waiting.append(found)
    raise DocumentError(message("the node answered without a head"))
