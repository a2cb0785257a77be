"""The command line, as a process that stops itself (SIGSTOP) at one point of its work with the store.

    python -m tests.hostile.stopped_writer POINT sync scenes.yaml …

The clocks of its lease are ahead by AHEAD seconds of the environment, and by `LATER` seconds once it was stopped: so a
test waits for no lease to end, and a slow machine loses none. With UNLOCKED in the environment, a folder has no lock,
as on a file system that other machines write to.
"""

import asyncio
import os
import re
import signal
import sys
import time
from contextlib import asynccontextmanager
from typing import Any

from syncd.stores import lease
from syncd.stores.filesystem.staged_file import StagedFile
from syncd.stores.filesystem.store import FilesystemStore
from syncd.stores.filesystem.sync_batch import SyncBatch
from syncd.stores.s3.staged import StagedObject
from syncd.stores.s3.store import S3Store
from transports.http.exchange import Exchange

LATER = 240.0  # seconds
OFTEN = 3.0  # seconds after which the lease is renewed, where a point waits for that
NATURAL = r"^scenes/"

# At which call of the store a process stops, the path of that call, and whether before or after it.
POINTS = {
    "a small file is put": ("put", NATURAL, "before"),
    "a small file was put": ("put", NATURAL, "after"),
    "a large file is committed": ("commit", "", "before"),
    "a replaced file is archived": ("copy", NATURAL, "before"),
    "a replacement is swapped in": ("move", r"^\.syncd/staged/", "before"),
    "a shard is put": ("put", r"^\.syncd/shards/", "before"),
    "the pointer is put": ("put", r"^\.syncd/mirrors/", "before"),
    "the pointer was put": ("put", r"^\.syncd/mirrors/", "after"),
    "a file is half sent": ("send", NATURAL, "before"),
    "the lease was read, and is renewed": ("put", r"^\.syncd/lease\.json", "before"),
}


ahead = float(os.environ.get("AHEAD", "0"))


def stop() -> None:
    """Stop until somebody continues this process; a long time has passed then."""
    global ahead  # noqa: PLW0603  the clocks of this program
    os.kill(os.getpid(), signal.SIGSTOP)
    ahead += LATER


def stop_at(point: str) -> None:
    """Wrap the call of the store at which the process stops, once."""
    name, pattern, when = POINTS[point]
    seen = 1 if "lease" in pattern else 0  # the first write of the lease takes it
    if name == "send":
        stop_while_sending(pattern)
        return
    for kind in (FilesystemStore, S3Store) if name not in ("write", "commit") else (StagedFile, StagedObject):
        wrap(kind, name, pattern, when, [seen])


def wrap(kind, name, pattern, when, left) -> None:
    inner, stopped = getattr(kind, name), asyncio.Event()

    def is_due(path) -> bool:
        if left[0] < 0 or (isinstance(path, str) and re.search(pattern, path) is None):
            return False
        left[0] -= 1
        return left[0] < 0

    async def call(self, path=None, *given, **named):
        due = is_due(path)
        if "lease" in pattern and re.search(NATURAL, path or ""):
            await stopped.wait()  # the pass must not end before its lease is renewed
        if due and when == "before":
            stop()
            stopped.set()
        result = await (inner(self, **named) if path is None else inner(self, path, *given, **named))
        if due and when == "after":
            stop()
        return result

    @asynccontextmanager
    async def stage(self, path, **named):
        if is_due(path):
            stop()
        async with inner(self, path, **named) as staged:
            yield staged

    setattr(kind, name, stage if name == "stage" else call)


def stop_while_sending(pattern) -> None:
    """Stop between the head of a request and its body; on a folder, between the bytes of a file and its name."""
    send, sync = Exchange._send, SyncBatch._write
    left = [True]

    def once(path) -> None:
        if left and re.search(pattern, path):
            left.clear()
            stop()

    async def sending(self, body, guard):
        once(self._label)
        return await send(self, body, guard)

    def writing(self, changes, outcomes):
        files = sync(self, changes, outcomes)
        for change in changes:
            if change.write is not None:
                once(change.path)
        return files

    Exchange._send, SyncBatch._write = sending, writing


def main() -> None:
    point, *words = sys.argv[1:]
    lease.SETTLE = 0.2
    ticks = lease.ticks
    given: dict[str, Any] = {"clock": lambda: time.time() + ahead, "ticks": lambda: ticks() + ahead}
    if "lease" in point:
        given["sleep"] = lambda seconds: asyncio.sleep(min(seconds, OFTEN))
    lease.Lease.__init__.__kwdefaults__.update(given)
    if "UNLOCKED" in os.environ:
        del FilesystemStore.lock  # of this program, which runs by itself
    if point:
        stop_at(point)
    sys.argv[1:] = words
    from syncd.cli.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()
