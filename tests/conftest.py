"""What holds for every test: our own code never blocks the event loop's thread."""

import importlib
import pkgutil
import sys
from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

import manifests
import syncd
import transports
from tests.servers.started import free_port

settings.register_profile("here", deadline=None)  # a busy machine is no fault of a property
settings.load_profile("here")

pytest_plugins = [
    "tests.groups",
    "tests.servers.fixtures",
    "tests.promises.plugin",
]  # S3 servers; the marks of promises

# What opens before anything moves may read its folder, and what closes when nothing moves any more may tidy it up:
# nobody waits for the loop.
OPENING = (
    ("ruamel/yaml/main.py", "official_plug_ins"),  # for each manifest, the parser looks for plug-ins of its own
    ("syncd/stores/filesystem/store.py", "__init__"),
    ("syncd/catalogue/catalogue.py", "_open"),
    ("syncd/catalogue/catalogue.py", "close"),
    ("syncd/catalogue/held_index.py", "_give_up"),
    ("syncd/session/manifests.py", "read_manifest"),
    ("syncd/session/opening.py", "open_session"),
    ("syncd/daemon/daemon.py", "run"),
    ("manifests/reading/reader.py", "installed"),  # once, and kept
    ("syncd/sources/open_source.py", "opener"),
)
# Who has its event loop for itself may wait for a disk there.
ALONE = (("syncd/stores/filesystem/sync_batch.py", "_run_here"),)
# A sleep of microseconds, on purpose: between rows, it lets the thread of the API have the interpreter.
SHARING = (("syncd/catalogue/database.py", "_with_pauses"),)
# The file of a mirror is opened where it is read: SQLite, which we cannot watch, opens and syncs files there as well.
CATALOGUE = tuple(
    ("syncd/catalogue/mirror_files.py", name) for name in ("open", "attach_plan", "drop_plan", "renew", "forget")
)
# What looks like files and is none: the kernel answers from memory.
KERNEL = (("prometheus_client/process_collector.py", "collect"), ("prometheus_client/process_collector.py", "__init__"))


@pytest.fixture
def unused_tcp_port() -> int:
    """Return a port that no client is given meanwhile."""
    return free_port()


def _import_all() -> None:
    """Import all modules, so that no test meets the first import of one on a running loop.

    A package's face imports a module when one of its names is first used; a process of ours does so once.
    """
    for package in (manifests, syncd, transports):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)


@pytest.fixture(scope="session", autouse=True)
def no_blocking() -> Iterator[None]:
    """Fail whatever sleeps, reads a file or waits for a socket on the thread of a running loop.

    Only calls that come from our packages count: a test may read its own files as it likes. Worker threads may block.
    """
    _import_all()
    with blockbuster_ctx(scanned_modules=["syncd", "transports", "manifests"]) as watch:
        for function in watch.functions.values():
            for file, name in (*OPENING, *ALONE, *SHARING, *CATALOGUE, *KERNEL):
                function.can_block_in(file, name)
        if "coverage" in sys.modules:  # its tracer takes a lock of its own, in the middle of our functions
            watch.functions["threading.Lock.acquire"].deactivate()
        yield
