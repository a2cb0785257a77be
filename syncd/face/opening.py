"""Opens what the public side works with, and serves it: its own store and its own connection to the Catalogue."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from manifests.messages import message
from syncd.api import Tokens
from syncd.config import Config, Token
from syncd.core import ConfigError, Store
from syncd.face.asked import OnServed
from syncd.face.callers import Callers
from syncd.face.context import FaceContext
from syncd.face.feature_index import FeatureIndex
from syncd.face.page_templates import PageTemplates
from syncd.face.public_mirrors import PublicMirrors, Unavailable
from syncd.face.publication_cache import PublicationCache
from syncd.face.server import OnBug, RunningFace, serving_face
from syncd.face.snapshot_lists import SnapshotLists
from syncd.face.verdict_counts import VerdictCounts
from syncd.wrappers import Policy, RetryingStore

READERS = 8  # threads that read and send files
PATIENCE = Policy(attempts=3, first=0.2, most=1.0, holds=False)  # a client waits for the answer


@asynccontextmanager
async def open_face(
    config: Config,
    open_store: Callable[[], Store],
    on_bug: OnBug,
    *,
    on_served: OnServed = lambda _: None,
    listen: str | None = None,
    most: int | None = None,
    now: Callable[[], float] = time.time,
) -> AsyncIterator[RunningFace]:
    """Serve the published mirrors within the block, on the running loop. Takes no lease, and writes nothing itself.

    Raises ConfigError if the address is not available. Store and Catalogue may be away: then the answer is 503.
    """
    assert config.serve is not None
    if config.serve.send == "redirect" and not config.store.url.startswith("s3://"):
        raise ConfigError(
            message(
                "serve.send: redirect: the store is {url}, which is not a bucket: write self, or accel with nginx",
                url=config.store.url,
            )
        )
    async with AsyncExitStack() as stack:
        threads = ThreadPoolExecutor(READERS, thread_name_prefix="face")
        stack.callback(threads.shutdown, wait=False, cancel_futures=True)
        adapter = await asyncio.to_thread(open_store)
        stack.push_async_callback(adapter.aclose)
        store = RetryingStore(adapter, PATIENCE) if config.store.url.startswith("s3://") else adapter
        mirrors = PublicMirrors(config, adapter, lambda why: on_bug("", Unavailable(why)), now=now)
        stack.callback(mirrors.close)
        tokens = Tokens(config.tokens, clock=time.monotonic, now=now)
        callers = Callers(tokens, config.state, config.serve)
        publications = PublicationCache(config.serve, store, mirrors)
        templates = await asyncio.to_thread(PageTemplates.load)
        lists, verdicts = SnapshotLists(store), VerdictCounts(store)
        items = FeatureIndex(lists)
        stack.push_async_callback(verdicts.close)
        stack.push_async_callback(items.close)
        context = FaceContext(
            config.serve,
            mirrors,
            store,
            lists,
            threads,
            now,
            callers,
            publications,
            templates,
            verdicts,
            items,
            on_served,
        )
        loop = asyncio.get_running_loop()

        def replace_tokens(tokens: Iterable[Token]) -> None:
            loop.call_soon_threadsafe(callers.replace, tuple(tokens))

        running = await stack.enter_async_context(serving_face(context, on_bug, listen=listen, most=most))
        yield msgspec.structs.replace(running, replace_tokens=replace_tokens)
