"""Makes many small changes to a folder tree durable together, in one thread, with one sync of each folder.

A batch holds the changes that arrived during the batch before it. Its files are written and synced first, then each is
renamed to its path, then each changed folder is synced once; then the callers return. There is no task: a batch starts
with a change, or at the end of the batch before it.
With `alone`, the event loop has no other work. If the disk syncs fast, it then makes the batch itself: two threads that
share the interpreter cost more than the disk.
"""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from syncd.core import Guard, SyncdError
from syncd.stores.filesystem.dirfd_cache import OpenDescriptor, OpenFolder, translate

MAX_BATCH = 256  # changes; each may hold a descriptor open
SLOW_SYNC = 0.001  # seconds; slower syncs run in threads, so that the disk can combine them

Touched = set[OpenFolder]


@dataclass(slots=True)
class FileChange:
    """One change: `write` makes a file that must be synced first, `place` creates the final names.

    `place` adds the folders it changed; `undo` removes what `write` left if the change fails, as far as it can.
    """

    path: str
    place: Callable[[Touched], Any]
    write: Callable[[], OpenDescriptor] | None = None
    undo: Callable[[], None] | None = None


class SyncBatch:
    """The queue of changes of one store; belongs to one event loop."""

    def __init__(self, root: str, syncers: Executor, *, alone: bool = False) -> None:
        self._root = root
        self._alone = alone
        self._syncers = syncers
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-changes")
        self._waiting: list[tuple[FileChange, asyncio.Future[Any]]] = []
        self._running: asyncio.Future[list[Any]] | None = None
        self._slow = False
        self.guard: Guard | None = None

    async def make(self, change: FileChange) -> Any:
        """Make the change; return the result of its `place` once durable."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append((change, waiter))
        if self._running is None:
            self._start()
        return await waiter

    async def aclose(self) -> None:
        """Wait for the batch under way, and end the thread."""
        if self._running is not None:
            await asyncio.wait([self._running])
        await asyncio.to_thread(self._thread.shutdown)

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        if self._alone and not self._slow:
            self._running = loop.create_future()
            loop.call_soon(self._run_here, self._running)  # changes that arrive until then join the batch
            return
        changes, waiters = self._next_batch()
        self._running = running = loop.run_in_executor(self._thread, self._run, changes)
        running.add_done_callback(lambda done: self._ended(done, waiters))

    def _run_here(self, running: asyncio.Future[list[Any]]) -> None:
        changes, waiters = self._next_batch()
        try:
            running.set_result(self._run(changes))
        except BaseException as bug:
            running.set_exception(bug)  # the waiting callers receive it, as they do from the thread
            raise
        finally:
            self._ended(running, waiters)

    def _next_batch(self) -> tuple[list[FileChange], list[asyncio.Future[Any]]]:
        batch = [(change, waiter) for change, waiter in self._waiting[:MAX_BATCH] if not waiter.done()]
        del self._waiting[:MAX_BATCH]
        return [change for change, _ in batch], [waiter for _, waiter in batch]

    def _ended(self, done: asyncio.Future[list[Any]], waiters: list[asyncio.Future[Any]]) -> None:
        self._running = None
        bug = done.exception()
        outcomes = [bug] * len(waiters) if bug is not None else done.result()
        for waiter, outcome in zip(waiters, outcomes, strict=True):
            if waiter.done():  # cancelled while it waited; the change stands, as after a crash
                continue
            if isinstance(outcome, BaseException):
                waiter.set_exception(outcome)
            else:
                waiter.set_result(outcome)
        if self._waiting:
            self._start()

    def _run(self, changes: list[FileChange]) -> list[Any]:
        """Make all changes; the outcome of each is its result or its failure."""
        outcomes: list[Any] = [None] * len(changes)
        files = self._write(changes, outcomes)
        self._sync_files(changes, files, outcomes)
        files.clear()
        touched: list[Touched] = []
        for number, change in enumerate(changes):
            where: Touched = set()
            touched.append(where)
            if outcomes[number] is None:
                outcomes[number] = self._try(change, partial(self._place, change, where))
        self._sync_folders(touched, outcomes)
        for change, outcome in zip(changes, outcomes, strict=True):
            if isinstance(outcome, SyncdError) and change.undo is not None:
                self._try(change, change.undo)  # a failed disk may refuse deletions too: the first failure is reported
        return outcomes

    def _place(self, change: FileChange, where: Touched) -> Any:
        if self.guard is not None:
            self.guard(change.path)
        return change.place(where)

    def _write(self, changes: list[FileChange], outcomes: list[Any]) -> dict[int, OpenDescriptor]:
        """Write the files of a batch; on a disk that syncs at once, sync each as it is written."""
        files: dict[int, OpenDescriptor] = {}
        for number, change in enumerate(changes):
            if change.write is None:
                continue
            written = self._try(change, change.write)
            if isinstance(written, SyncdError):
                outcomes[number] = written
            elif self._slow:
                files[number] = written
            else:
                started = time.monotonic()
                outcomes[number] = self._sync(change.path, written)
                self._slow = time.monotonic() - started > SLOW_SYNC
        return files

    def _sync_files(self, changes: list[FileChange], files: dict[int, OpenDescriptor], outcomes: list[Any]) -> None:
        started = time.monotonic()
        syncs = {number: self._syncers.submit(self._sync, changes[number].path, file) for number, file in files.items()}
        for number, sync in syncs.items():
            outcomes[number] = sync.result()
        if files:
            self._slow = (time.monotonic() - started) / len(files) > SLOW_SYNC / 10

    def _sync_folders(self, touched: list[Touched], outcomes: list[Any]) -> None:
        """Sync each folder once; a failure is reported to those who changed it."""
        folders = list(set().union(*touched))
        if len(folders) > 1 and self._slow:
            results = [sync.result() for sync in [self._syncers.submit(self._sync, it.path, it) for it in folders]]
        else:
            results = [self._sync(folder.path, folder) for folder in folders]
        failed = {folder: result for folder, result in zip(folders, results, strict=True) if result is not None}
        if not failed:
            for folder in folders:
                folder.parent = None  # all its parents are synced too
            return
        for number, where in enumerate(touched):
            for folder in where & failed.keys():
                outcomes[number] = failed[folder]

    def _sync(self, path: str, opened: OpenDescriptor) -> SyncdError | None:
        """Sync once; a failed sync is never repeated: the second may succeed although bytes were lost."""
        try:
            os.fsync(opened.fd)
        except OSError as error:
            return translate(error, path, self._root)
        return None

    def _try(self, change: FileChange, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except SyncdError as error:
            return error
        except OSError as error:
            return translate(error, change.path, self._root)
