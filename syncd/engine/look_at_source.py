"""Looks at a source within bounds: how many files and bytes it has, which checksums, and whether a file can be read."""

import asyncio

import msgspec

from manifests.messages import message
from manifests.reading import is_own
from manifests.recognition import FoundFiles
from manifests.stat import Stat
from syncd.catalogue import MirrorRow
from syncd.core import PermanentError, SyncdError, TransientError, Unreachable
from syncd.engine.ask_source import ask_source
from syncd.engine.pass_context import PassContext

HEAD = 256 << 10  # bytes of a document that tell what it is
MAX_LOOK = 20.0  # seconds that one source is looked at
MAX_HEAD = 8.0  # seconds that one document is waited for


async def look_at_source(context: PassContext, row: MirrorRow, *, seconds: float = MAX_LOOK) -> FoundFiles:
    """Survey a source within bounds. Raises what makes it unavailable."""
    answer = await ask_source(context, row, seconds=seconds)
    found = FoundFiles(is_bounded=answer.is_bounded, denied=answer.denied, failed=answer.failed)
    for stat in context.catalogue.claims.all(row.id):
        if not is_own(stat):  # a list of checksums has none itself
            _count(found, stat)
    return found


def _count(found: FoundFiles, stat: Stat) -> None:
    found.files += 1
    if stat.size is None:
        found.unsized += 1
    else:
        found.bytes += stat.size
    for name in stat.digests:
        found.digests[name] = found.digests.get(name, 0) + 1
    if not stat.digests:
        found.without_digest += 1


class DocumentHead(msgspec.Struct, frozen=True):
    """How a document begins; `error` says why it could not be read."""

    body: bytes = b""
    error: SyncdError | None = None


async def head_of(context: PassContext, url: str) -> DocumentHead:
    """Return how the document at a url begins; it is read no further."""
    body = bytearray()
    try:
        async with asyncio.timeout(MAX_HEAD), context.source.open(url, start=0, stop=None) as answer:
            async for chunk in answer:
                body += chunk
                if len(body) >= HEAD:
                    break
    except TimeoutError:
        return DocumentHead(
            bytes(body), Unreachable(message("{url}: no answer within {n:.0f} seconds", url=url, n=MAX_HEAD))
        )
    except (PermanentError, TransientError) as error:
        return DocumentHead(bytes(body), error)
    return DocumentHead(bytes(body))
