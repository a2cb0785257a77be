"""What `syncd status` reads of a mirror of millions of files."""

from types import SimpleNamespace

import pytest

from syncd.cli.commands.status import _totals


def catalogue(changed, snapshot):
    def totals(_):
        return 4, 40

    holdings = SimpleNamespace(changed=lambda _: iter(changed), totals=totals)
    history = SimpleNamespace(current=lambda _: snapshot)
    return SimpleNamespace(holdings=holdings, history=history)


PUBLISHED = SimpleNamespace(files=3, bytes=30)


@pytest.mark.parametrize(
    ("changed", "snapshot", "shown"),
    [((), PUBLISHED, (3, 30)), (("new",), PUBLISHED, (4, 40)), ((), None, (4, 40))],
    ids=["nothing changed: the snapshot says it", "changed since", "no snapshot yet"],
)
def test_files_are_counted_only_if_the_snapshot_does_not_say_how_many(changed, snapshot, shown):
    assert _totals(catalogue(changed, snapshot), 1) == shown
