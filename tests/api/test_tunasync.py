"""tunasync.json, as mirror sites read it."""

import msgspec
import pytest

from syncd.api.tunasync import job, status
from syncd.control.views import MirrorView
from syncd.core import PassView
from tests.api.conftest import NOW

KEYS = {
    "name", "is_master", "status", "last_update", "last_update_ts", "last_started", "last_started_ts", "last_ended",
    "last_ended_ts", "next_schedule", "next_schedule_ts", "upstream", "size",
}  # fmt: skip
STATUSES = {
    "nothing-found": "failed",
    "idle": "success", "waiting": "success", "running": "syncing", "paused": "paused", "failing": "failed",
    "offline": "failed", "rejected": "disabled", "retired": "disabled",
}  # fmt: skip


def view(**fields):
    return MirrorView(**{"name": "pypi", "state": "idle", "health": "good", **fields})


async def test_the_document_lists_every_mirror_with_every_key(api, control):
    async with api.get("/tunasync.json") as response:
        assert response.content_type == "application/json"
        jobs = await response.json()
    assert {one["name"]: one["status"] for one in jobs} == STATUSES
    assert all(set(one) == KEYS for one in jobs)


def test_times_stand_twice_and_agree():
    last = PassView(id=1, mirror="pypi", why="schedule", began=NOW - 120, ended=NOW - 60, outcome="complete")
    found = job(
        view(succeeded=NOW - 60, next_run=NOW + 3600, last=last, source="https://pypi.org/", bytes=1_240_000_000_000)
    )
    assert (found.last_update, found.last_update_ts) == ("2023-11-14 22:12:20 +0000", 1_699_999_940)
    assert (found.last_started_ts, found.last_ended_ts, found.next_schedule_ts) == (NOW - 120, NOW - 60, NOW + 3600)
    assert (found.upstream, found.size) == ("https://pypi.org/", "1.24T")


def test_what_never_happened_is_the_year_one():
    found = job(view())
    assert (found.last_update, found.last_update_ts) == ("0001-01-01 00:00:00 +0000", -62_135_596_800)
    assert found.status == "none"


def test_a_pass_that_was_cut_off_has_failed():
    last = PassView(id=1, mirror="pypi", why="schedule", began=NOW, outcome="killed")
    assert status(view(succeeded=NOW, last=last)) == "failed"


@pytest.mark.parametrize(
    ("count", "size"),
    [(0, "0"), (999, "999"), (1_000, "1.00K"), (999_994, "999.99K"), (999_996, "1.00M"), (10**18, "1.00E")],
)
def test_sizes_are_written_as_rsync_does(count, size):
    assert job(view(bytes=count)).size == size


def test_the_document_is_json_of_one_array(control):
    from syncd.api.tunasync import tunasync

    assert isinstance(msgspec.json.decode(tunasync(control.mirrors())), list)
    assert tunasync([]) == b"[]"
