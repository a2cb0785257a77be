"""The part of pytest that knows the marks of promises and faults.

* `--holds P4,10` runs only the tests that hold one of these, the quick ones first.
* Where CI is set, a marked test that is skipped, or expected to fail, fails: what did not run holds nothing.
"""

import os
from pathlib import Path

import pytest

import syncd
from tests.promises.marks import OURS

PROGRAMS = {"tests.acceptance.cli", "tests.acceptance.daemon_process", "tests.daemons"}
SERVERS = {"swift", "rgw", "ceph_cluster", "small_disk", "archive"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --holds."""
    parser.addoption("--holds", metavar="P4,10", help="run only the tests that hold one of these promises and faults")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to try a changed program if another one is imported."""
    tree = os.environ.get("SYNCD_TREE_UNDER_TEST")
    if tree is not None and not Path(syncd.__file__).is_relative_to(tree):
        raise pytest.UsageError(f"the program comes from {syncd.__file__}, not from {tree}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that --holds asks for."""
    asked = config.getoption("--holds")
    if not asked:
        return
    wanted = {int(one) if one.isdecimal() else one.upper() for one in asked.split(",")}
    kept = [item for item in items if not wanted.isdisjoint(held_by(item))]
    config.hook.pytest_deselected(items=[item for item in items if wanted.isdisjoint(held_by(item))])
    items[:] = sorted(kept, key=_is_slow)


def _is_slow(item: pytest.Item) -> bool:
    """True for a test that may take longer than a second: of whole programs, of servers, of disks."""
    uses = {getattr(value, "__module__", "") for value in vars(getattr(item, "module", item)).values()}
    return bool(uses & PROGRAMS) or not SERVERS.isdisjoint(getattr(item, "fixturenames", ()))


def held_by(item: pytest.Item) -> set[str | int]:
    """Return the promises and faults that a test holds."""
    return {value for name in OURS for mark in item.iter_markers(name) for value in mark.args}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Fail a marked test that did not run."""
    report = yield
    if os.environ.get("CI") and (report.skipped or hasattr(report, "wasxfail")) and (held := held_by(item)):
        named = ", ".join(sorted(map(str, held)))
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} holds {named}, so it must run in CI, and did not: {report.longrepr}"
    return report
