"""One small pass in one thread, with the same calls each time: for failing any one of them.

It adds, replaces and removes small and large files (sizes at which the program changes its ways are made small). The
loop is the one of the simulation, so that nothing runs in a second thread; the store is a real folder.
"""

import asyncio
import contextlib
import hashlib
import random
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import msgspec

from manifests.model import load_mirror
from manifests.snapshot import Pointer
from syncd.catalogue import Catalogue
from syncd.core import Store, SyncdError, ignore_event
from syncd.engine import Pass, PassContext, caught_up
from syncd.session.session import _hold
from syncd.stores import FilesystemStore
from syncd.stores.lease import Lease, ProcessIdentity
from tests.fakes import Listing
from tests.simulation.commands import HASHING, MANIFEST
from tests.simulation.event_loop import EPOCH, SimulatedLoop, seeded_world
from tests.simulation.upstream import NetworkTrouble, SimulatedUpstream, Upstream
from tests.simulation.world import SCALED

COMPLETE, FAILED, BUG, UNPROVED = 0, 3, 70, 71
"""How a pass ends: complete, with an error that syncd knows, with a bug, or with bytes visible that were never proved."""

SIZES = {"a": 100, "b/large": 1500, "b/small": 40, "c/gone": 300, "d": 900}


def _body(path: str, age: str) -> bytes:
    return random.Random(f"{path} {age}").randbytes(SIZES.get(path, 700))


BEFORE = {path: _body(path, "old") for path in SIZES}
AFTER = {
    **BEFORE,
    "a": _body("a", "new"),
    "b/large": _body("b/large", "new"),
    "e/new": _body("e/new", "new"),
    "e/small": b"small",
}
del AFTER["c/gone"]
EVER = {path: {body for files in (BEFORE, AFTER) if (body := files.get(path)) is not None} for path in BEFORE | AFTER}


def upstream_of(files: dict[str, bytes]) -> Upstream:
    """Return an upstream that has these files and publishes their checksums."""
    upstream = Upstream(has_digests=True)
    for path, body in files.items():
        upstream.set(path, body, EPOCH + len(body))
    return upstream


async def sync(
    store: Store,
    state: Path,
    upstream: Upstream,
    *,
    clock: Callable[[], float],
    lease: Lease,
    transport=SimulatedUpstream,
):
    """Run one pass as the command line does: Catalogue, lease, rebuild if need be, pass."""
    with Catalogue(state) as catalogue:
        catalogue.settings.set("store", await store.identify(catalogue.settings.get("store")))
        mirror = load_mirror(MANIFEST.format(versions=2), "m.yaml")
        async with (
            _hold(lease),
            caught_up(
                store,
                catalogue,
                ignore_event,
                lambda _: mirror.keep,
                clock,
                previous=lease.previous,
                epoch=lease.epoch,
                settle=lease.settle,
            ),
        ):
            context = PassContext(
                mirror=mirror,
                reader=Listing(),
                source=transport(upstream, random.Random(1), NetworkTrouble()),
                store=store,
                catalogue=catalogue,
                hashing=HASHING,
                spool=state,
                now=clock,
                clock=asyncio.get_running_loop().time,
            )
            return await Pass(context).run()


@contextlib.contextmanager
def scaled() -> Iterator[None]:
    """Make the sizes small at which the program changes its ways."""
    with contextlib.ExitStack() as stack:
        for module, name, value in SCALED:
            stack.enter_context(mock.patch.object(module, name, value))
        yield


def run(folder: Path, files: dict[str, bytes], *, seed: int = 1, is_watched: bool = True) -> int:
    """Run a pass over `folder`/store in this thread; returns how it ended, and prints a bug."""
    chance = random.Random(seed)
    loop = SimulatedLoop(chance)
    unproved: list[str] = []
    if is_watched:
        loop.on_turn = lambda: unproved.extend(visible_and_unproved(folder))

    async def one() -> bool:
        store = FilesystemStore(folder / "store")

        def clock() -> float:
            return EPOCH + 3600 * seed + loop.now

        try:
            lease = Lease(store, "small pass", clock=clock, place=ProcessIdentity("here", "here", 1))
            return (await sync(store, folder / "state", upstream_of(files), clock=clock, lease=lease)).complete
        finally:
            await store.aclose()

    with seeded_world(loop, chance), scaled():
        is_complete = is_bug = False
        try:
            is_complete = loop.run_until_complete(one())
        except* SyncdError as errors:
            print(*(str(error) for error in errors.exceptions), sep="\n")
        except* BaseException:  # noqa: BLE001  it is reported
            traceback.print_exc()
            is_bug = True
        finally:
            loop.close()
    if unproved:
        print("visible, and never proved:", unproved[0])
        return UNPROVED
    return BUG if is_bug else COMPLETE if is_complete else FAILED


def visible_and_unproved(folder: Path) -> list[str]:
    """Return the files under their final names whose bytes upstream never had."""
    found = visible(folder)
    return [path for path, body in found.items() if body not in EVER.get(path, ())]


def visible(folder: Path) -> dict[str, bytes]:
    """Return the files under their final names."""
    root, found = folder / "store" / "m", {}
    for file in root.rglob("*"):
        with contextlib.suppress(OSError):
            if file.is_file():
                found[file.relative_to(root).as_posix()] = file.read_bytes()
    return found


def snapshot(folder: Path) -> str:
    """Return the id of the snapshot that the pointer names."""
    return msgspec.json.decode((folder / "store/.syncd/mirrors/m.json").read_bytes(), type=Pointer).snapshot


def fingerprint(folder: Path) -> str:
    """Return what tells two copies apart: their snapshot, and the files under their names."""
    files = sorted(visible(folder).items())
    lines = [snapshot(folder), *(f"{path} {hashlib.sha256(body).hexdigest()}" for path, body in files)]
    return "\n".join(lines)
