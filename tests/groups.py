"""Keeps tests that share a server in one process, where several processes share the tests (`pytest -n`)."""

import pytest
from _pytest.nodeid import NodeId

# What is started once a run and is slow to start: all tests that need it run in one process, others beside them.
FIXTURES = {"swift": "swift", "rgw": "ceph", "ceph_cluster": "ceph", "driver": "browser"}
PARAMETERS = {"swift": "swift", "rgw": "ceph", "bucket": "swift"}  # by which a test asks for a fixture while it runs


def group_of(item: pytest.Item) -> str:
    """Return the name of the process that a test belongs to, or ""."""
    given = getattr(item, "callspec", None)
    values = [value for value in given.params.values() if isinstance(value, str)] if given is not None else []
    names = {*getattr(item, "fixturenames", ()), *(mark.name for mark in item.iter_markers())}
    groups = {FIXTURES[name] for name in names & FIXTURES.keys()} | {PARAMETERS[v] for v in values if v in PARAMETERS}
    groups |= {str(mark.args[0]) for mark in item.iter_markers("xdist_group")}
    return "+".join(sorted(groups))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the group to the names of tests, as LoadGroupScheduling wants it.

    xdist 3.8 writes it where pytest 9 no longer reads it, and every process had servers of its own.
    """
    if hasattr(config, "workerinput") and config.getvalue("loadgroup"):
        for item in items:
            if group := group_of(item):
                item._id = NodeId.parse(f"{item.nodeid}@{group}")
