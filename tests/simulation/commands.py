"""What the simulated processes do: they open the Catalogue and the lease as the command line does, and run one command.

The engine, the Catalogue, the lease and the wrappers are the real ones.
"""

import asyncio
import contextlib
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from manifests.model import Mirror, load_mirror
from manifests.snapshot import Entry
from syncd.catalogue import Catalogue
from syncd.core import NotFound, PublishResumed
from syncd.engine import (
    Pass,
    PassContext,
    PassPaths,
    Publisher,
    Restoration,
    Verification,
    caught_up,
)
from syncd.session.session import _hold
from syncd.stores.lease import Lease, ProcessIdentity
from syncd.wrappers.fenced_store import FencedStore
from syncd.wrappers.governed_transport import GovernedTransport
from syncd.wrappers.governors import Governors
from syncd.wrappers.retry_policy import Policy
from syncd.wrappers.retrying_store import RetryingStore
from syncd.wrappers.retrying_transport import Retrying
from tests.fakes import Listing, sha256
from tests.simulation.event_loop import EPOCH, SimulatedLoop, SimulatedProcess
from tests.simulation.invariants import MIRROR, PREFIX, Invariants, Violation
from tests.simulation.memory_store import Shelf, SimulatedFolder, SimulatedStore, StoredObject, StoreTrouble
from tests.simulation.scenario import CUTS, FOLDERS, NAMES, SIZES, Scenario, Step
from tests.simulation.upstream import SECRET, NetworkTrouble, SimulatedUpstream, Upstream

MANIFEST = """
mirror: m
source: {{url: "https://upstream.example/"}}
guard: {{max_removed: 50%}}
keep: {{versions: {versions}, replaced: 1s, removed: 30d}}
"""
HASHING = ThreadPoolExecutor(1)  # never used: what is given to a thread runs in the loop


class Commands:
    """The state of a history, and the commands that its processes run; `trace` is all that happened, a line each."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.folder = scenario, folder
        self.chance = random.Random(scenario.seed)
        self.loop = SimulatedLoop(self.chance)
        self.shelf = Shelf(is_bucket=scenario.is_bucket)
        self.upstream = Upstream(scenario.has_digests)
        self.invariants = Invariants(self.shelf, self.upstream)
        self.mirror = _mirror(scenario.versions)
        self.processes: list[SimulatedProcess] = []
        self.trace: list[str] = []
        self.first: dict[str, bytes] = {}
        self.reached: set[str] = set()
        """What came to pass of the troubles that the steps announce."""
        self.daemon = 0
        self.listed = 0
        self.is_approved = self.is_rolled_back = False
        self.resumed: dict[str, Entry] | None = None
        """The files of an interrupted publish that was finished in this step."""
        self.violation: Violation | None = None

    # -- a process --

    async def _session(self, process: SimulatedProcess, step: Step) -> None:
        """Do `work` as the command line would: with the Catalogue, the store, and its lease."""
        catalogue = Catalogue(self._state(process.daemon))
        process.on_kill.append(catalogue.close)
        kind = SimulatedStore if self.scenario.is_bucket else SimulatedFolder
        trouble = StoreTrouble(
            step.store, step.store / 2 if self.scenario.is_bucket else 0.0, step.full, step.slow, torn=0.5
        )
        adapter = kind(self.shelf, random.Random(f"store {step.seed} {process.number}"), trouble)
        place = ProcessIdentity(process.name, f"machine {process.daemon}", process.number)
        held = Lease(adapter, f"syncd {process.name}", clock=self._now, place=place, ticks=self.loop.time)
        adapter.use_guard(held.guard)
        fenced = FencedStore(adapter, held)
        store = RetryingStore(fenced, Policy(attempts=4)) if self.scenario.is_bucket else fenced
        catalogue.settings.set("store", await adapter.identify(catalogue.settings.get("store")))
        try:
            async with (
                _hold(held),
                caught_up(
                    store,
                    catalogue,
                    self._on_event,
                    lambda _: self.mirror.keep,
                    self._now,
                    previous=held.previous,
                    epoch=held.epoch,
                    settle=held.settle,
                ),
            ):
                await WORK[step.kind](self, step, store, catalogue)
        finally:
            if adapter.failed:
                self.reached.add("store")
            if self.upstream.failed:
                self.reached.add("network")

    def _context(self, step: Step, store, catalogue: Catalogue, stopping: asyncio.Event | None = None) -> PassContext:
        network = NetworkTrouble(
            refused=step.network,
            broken=step.network / 8,
            flipped=step.network / 2,
            slow=step.slow,
            changing=0.4 if step.kind == "living" else step.network / 4,
            listing=step.listing,
        )
        chance = random.Random(f"network {step.seed}")
        governors = Governors(clock=self.loop.time)
        source = SimulatedUpstream(self.upstream, chance, network)
        governed = GovernedTransport(source, governors, "https://upstream.example/", clock=self.loop.time)
        return PassContext(
            mirror=self.mirror,
            reader=Listing(),
            source=Retrying(governed, Policy(attempts=3)),
            store=store,
            catalogue=catalogue,
            hashing=HASHING,
            spool=self.folder / "spool",
            listener=self._on_event,
            now=self._now,
            clock=self.loop.time,
            stopping=stopping or asyncio.Event(),
        )

    # -- what a process does --

    async def sync(self, step: Step, store, catalogue: Catalogue) -> None:
        await Pass(self._context(step, store, catalogue)).run()

    async def sync_beside_changes(self, step: Step, store, catalogue: Catalogue) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.sync(step, store, catalogue))
            await asyncio.sleep(self.chance.random())
            self._change_upstream(self.chance.choice(("add", "change", "remove", "swap", "rename")), step.count)

    async def sync_that_stops(self, step: Step, store, catalogue: Catalogue) -> None:
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(Pass(self._context(step, store, catalogue, stopping)).run())
            await asyncio.sleep(self.chance.random())
            stopping.set()

    def _restoration(self, store, catalogue: Catalogue) -> Restoration | None:
        row = catalogue.history.mirror(MIRROR)
        if row is None or not row.snapshot:
            return None
        place = PassPaths(MIRROR, PREFIX, f"restore-{self.loop.turns:x}")
        publisher = Publisher(store, catalogue, row, place, self._on_event, self.mirror.keep, self._now)
        return Restoration(store, catalogue, row, place, publisher, HASHING, self._now)

    async def rollback(self, step: Step, store, catalogue: Catalogue) -> None:
        if (restoration := self._restoration(store, catalogue)) is None:
            return
        kept = catalogue.history.snapshots(restoration.mirror.id)
        wanted = self.chance.choice(kept[: self.scenario.versions + 1])
        snapshot = await restoration.rollback(wanted.id)
        self.reached.add("rollback")
        if snapshot.id != wanted.id:
            raise Violation("P6", f"a rollback to {wanted.id[:8]} published {snapshot.id[:8]}")

    async def undelete(self, step: Step, store, catalogue: Catalogue) -> None:
        if (restoration := self._restoration(store, catalogue)) is None:
            return
        holdings, mirror = catalogue.holdings, restoration.mirror.id
        removed = [
            one.path
            for name in holdings.snapshots_of(mirror, "removed")
            for one in holdings.removed_of(mirror, name, self._now() + 1, "", -1)
            if holdings.entry(mirror, one.path) is None
        ]
        paths = self.chance.sample(removed, min(step.count, len(removed)))
        if not paths:
            return
        with contextlib.suppress(NotFound):
            await restoration.undelete(paths)
            self.reached.add("undelete")
            if missing := set(paths) - set(self.invariants.current()):
                raise Violation("P6", f"undeleted, and not in the snapshot: {sorted(missing)}")

    async def approve(self, step: Step, store, catalogue: Catalogue) -> None:
        row = catalogue.history.mirror(MIRROR)
        if row is not None and catalogue.approvals.approve(row.id):
            self.is_approved = True
            self.reached.add("approve")

    async def check_rebuilt(self, step: Step, store, catalogue: Catalogue) -> None:
        """The session has rebuilt what was lost."""
        pointer, row = self.invariants.pointer(), catalogue.history.mirror(MIRROR)
        if pointer is not None and (row is None or row.snapshot != pointer.snapshot):
            raise Violation("P4", f"rebuilt as {row and row.snapshot[:8]}, the pointer names {pointer.snapshot[:8]}")
        if row is not None and [*catalogue.holdings.entries(row.id)] != [*self.invariants.current().values()]:
            raise Violation("P4", "a rebuilt Catalogue has other Entries than the snapshot")

    async def verify(self, step: Step, store, catalogue: Catalogue, *, repair: bool = False) -> None:
        if (restoration := self._restoration(store, catalogue)) is None:
            return
        await restoration.publisher.finish()
        row = catalogue.history.mirror(MIRROR)
        assert row is not None
        context = self._context(step, store, catalogue)
        verification = Verification(
            store, catalogue, row, restoration.place, HASHING, lambda *_: None, context.source, self._now
        )
        wrong = {
            entry.path
            for entry in catalogue.holdings.entries(row.id)
            if getattr(self.shelf.objects.get(PREFIX + entry.path), "sha256", "") != entry.sha256
        }
        report = await verification.run(read_data=True)
        if {fault.path for fault in report.faults} != wrong and not step.store:
            seen = [f"{fault.path}: {fault.reason}" for fault in report.faults]
            raise Violation("P7", f"wrong are {sorted(wrong)}, and a verification found {seen}")
        if wrong:
            self.reached.add("damage found")
        if repair and report.faults:
            await verification.repair(report)
            for fault in report.faults:
                found = self.shelf.objects.get(PREFIX + fault.path)
                held = catalogue.holdings.entry(row.id, fault.path)
                if fault.repaired and (found is None or held is None or found.sha256 != held[0].sha256):
                    raise Violation("P7", f"{fault.path}: said to be repaired, and it is not")

    async def scrub(self, step: Step, store, catalogue: Catalogue) -> None:
        await self.verify(step, store, catalogue, repair=True)

    def _change_upstream(self, kind: str, count: int) -> None:
        files, chance, now = self.upstream.files, self.chance, EPOCH + self.loop.now
        paths = sorted(files)
        if kind in ("add", "change"):
            names = [*NAMES, *CUTS] if kind == "add" else paths
            for path in chance.sample(names, min(count, len(names))):
                is_same = path in files and chance.random() < 0.5
                size = len(files[path].body) if is_same else chance.choice(SIZES)
                self.upstream.set(path, chance.randbytes(size), now)
                self.first.setdefault(path, files[path].body)
        elif kind == "remove":
            for path in chance.sample(paths, min(count, len(paths))):
                del files[path]
        elif kind == "swap" and len(paths) > 1:
            one, other = chance.sample(paths, 2)
            bodies = files[one].body, files[other].body
            self.upstream.set(one, bodies[1], now)
            self.upstream.set(other, bodies[0], now)
        elif kind == "rename" and paths:
            old = chance.choice(paths).partition("/")[0]
            taken = {path.partition("/")[0] for path in paths}
            free = [name for name in FOLDERS if name not in taken]
            new = chance.choice(free) if free else old
            for path in paths:
                if path.partition("/")[0] == old:
                    self.upstream.set(new + path.removeprefix(old), files.pop(path).body, now)
        elif kind == "empty":
            files.clear()
        elif kind == "restore":
            for path, body in self.first.items():
                self.upstream.set(path, body, now)

    def _damage(self, step: Step) -> None:
        """Turn a bit over in stored files; on a folder, hard links share the damage."""
        natural = [key for key in self.shelf.keys(PREFIX) if self.shelf.objects[key].body]
        for key in self.chance.sample(natural, min(step.count, len(natural))):
            found = self.shelf.objects[key]
            body = bytes([found.body[0] ^ 1]) + found.body[1:]
            self.shelf.serial += 1
            rotten = StoredObject(body, self.shelf.serial, found.modified, sha256(body))
            self.shelf.objects[key] = rotten
            name = key.removeprefix(PREFIX)
            self.invariants.rotten |= {(name, found.sha256), (name, rotten.sha256)}
            self._note(f"rot {key}")
            self.reached.add("damage")

    # -- small things --

    def _on_event(self, event) -> None:
        text = repr(event)
        if SECRET in text:
            raise Violation("P10", f"an event shows the secret of upstream's url: {text}")
        self._note(text)
        if isinstance(event, PublishResumed):
            self.resumed = self.invariants.current()

    def _state(self, daemon: int) -> Path:
        return self.folder / f"state{daemon}"

    def _lose_state(self, daemon: int) -> None:
        shutil.rmtree(self._state(daemon), ignore_errors=True)

    def _is_alive(self, number: int) -> bool:
        return not self.processes[number - 1].is_dead

    def _now(self) -> float:
        return EPOCH + self.loop.now

    def _note(self, line: str) -> None:
        self.trace.append(f"{self.loop.now:.3f} {line}".replace(str(self.folder), "STATE"))


@cache
def _mirror(versions: int) -> Mirror:
    return load_mirror(MANIFEST.format(versions=versions), "m.yaml")


WORK = {
    "pass": Commands.sync,
    "both": Commands.sync,
    "living": Commands.sync_beside_changes,
    "stop": Commands.sync_that_stops,
    "rollback": Commands.rollback,
    "undelete": Commands.undelete,
    "approve": Commands.approve,
    "lose": Commands.check_rebuilt,
    "verify": Commands.verify,
    "scrub": Commands.scrub,
}
