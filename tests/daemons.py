"""A real daemon in this process: its manifests, its upstream on disk, its store, its clocks, and looks at all of them."""

import asyncio
import threading
import time
from contextlib import asynccontextmanager

from syncd.config.load import load_config
from syncd.daemon.daemon import run
from syncd.daemon.daemon_deps import DaemonDeps

DAEMON = """
state: ./state
store: {{url: ./store}}
manifests: [./manifests.d]
{more}
"""
MORE = "backup: {keep: 0}\nbudget: {keep_free: 0 B}\n"


class Clock:
    """A wall clock and a monotonic one that may be moved; both go on by themselves."""

    def __init__(self):
        self.ahead = self.mono = 0.0

    def now(self):
        return time.time() + self.ahead

    def clock(self):
        return time.monotonic() + self.mono

    def forward(self, seconds):
        """Let time pass."""
        self.ahead += seconds
        self.mono += seconds

    def step(self, seconds):
        """Let somebody set the wall clock."""
        self.ahead += seconds


class House:
    """The folders of one daemon."""

    def __init__(self, root, more=MORE):
        self.root = root
        self.store, self.state, self.manifests = root / "store", root / "state", root / "manifests.d"
        self.manifests.mkdir(parents=True)
        self.config = root / "syncd.yaml"
        self.configure(more)
        self.time = Clock()
        self.events = []
        self.bugs, self.bugs_expected = [], False
        self.around = None
        self.control = None

    def configure(self, more=MORE):
        self.config.write_text(DAEMON.format(more=more))

    def load(self):
        return load_config(self.config, environ={})

    def archive(self, name, files):
        """Make, or change, what an upstream has; None removes."""
        folder = self.root / "www" / name
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            file = folder / path
            if content is None:
                file.unlink()
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def declare(self, name, more="schedule: {every: 1h}\n", url=None):
        url, settle = (f"file://{self.root}/www/{name}/", "settle: 0s, ") if url is None else (url, "")
        (self.manifests / f"{name}.yaml").write_text(f"mirror: {name}\nsource: {{{settle}url: '{url}'}}\n{more}")

    def copy(self, name):
        root = self.store / name
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    def upstream(self, name):
        root = self.root / "www" / name
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    def heard(self, kind, mirror=None):
        return [event for event in self.events if isinstance(event, kind) and mirror in (None, event.mirror)]

    @asynccontextmanager
    async def living(self, *, tick=0.02, wait=True, **more):
        """Run the daemon over the block; at its end it is asked to stop, and must, leaving no task and no thread."""
        started, before, threads = asyncio.Event(), asyncio.all_tasks(), set(threading.enumerate())

        def begun(control):
            self.control = control
            started.set()

        self.around = DaemonDeps(
            environ=more.pop("environ", {}),
            load=self.load,
            watched=self.config,
            listeners=(self.events.append,),
            crashed=lambda name, error: self.bugs.append(error),
            now=self.time.now,
            clock=self.time.clock,
            started=begun,
            tick=tick,
            store_every=10 * tick,
            **more,
        )
        task = asyncio.create_task(run(self.around))
        try:
            if wait:
                waits = asyncio.create_task(started.wait())
                await asyncio.wait({task, waits}, timeout=240, return_when=asyncio.FIRST_COMPLETED)
                waits.cancel()
                if task.done():
                    await task
                assert started.is_set(), "the daemon did not start"
            yield self.control
            if task.done():
                await task
                raise AssertionError("the daemon ended by itself")
        finally:
            self.around.stopping.set()
            done, _ = await asyncio.wait({task}, timeout=240)
            if not done:
                task.cancel()
                await asyncio.wait({task}, timeout=240)
        assert task.done()
        await task
        assert asyncio.all_tasks() - before - {asyncio.current_task()} == set(), "tasks are left"
        left = {one.name for one in set(threading.enumerate()) - threads if not one.name.startswith("asyncio")}
        assert left == set(), "threads are left"
        assert list(self.state.glob("spool-*")) == []
        assert self.bugs_expected or self.bugs == []

    async def until(self, true, seconds=120.0):
        """Wait until something is true of the daemon."""
        deadline = time.monotonic() + seconds
        while not true():
            if self.bugs and not self.bugs_expected:
                raise self.bugs.pop()
            assert time.monotonic() < deadline, f"still not true; last events: {self.events[-12:]}"
            await asyncio.sleep(0.01)

    def state_of(self, name):
        return self.control.mirror(name).state

    async def idle(self, *names):
        """Wait until mirrors have a complete pass and nothing to do."""
        await self.until(
            lambda: all(
                name in [v.name for v in self.control.mirrors()]
                and self.state_of(name) == "idle"
                and self.control.mirror(name).succeeded is not None
                for name in names
            )
        )


def small(count=3, seed=0):
    return {f"f{n}.dat": bytes([n + seed]) * (50 + n) for n in range(count)}
