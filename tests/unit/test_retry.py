"""What is worth another try is tried again, and nothing else; what was reached is not asked for twice."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest

from manifests.stat import Stat
from syncd.core.errors import Changed, Halted, Interrupted, NotFound, Refused
from syncd.process.exit_codes import INTERRUPTED, code_of
from syncd.wrappers.retry_policy import Policy, retrying
from syncd.wrappers.retrying_store import RetryingStore
from syncd.wrappers.retrying_transport import Retrying
from tests.fakes import Archive, break_after

QUICK = Policy(attempts=4, first=0.001, most=0.002)


class Failing:
    """Fails as often as told, then does what a store does: returns what it was given."""

    piece = 1

    def __init__(self, *errors):
        self.errors, self.calls = list(errors), 0

    async def put(self, path, body, *, if_absent=False, sha256=""):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return Stat(path, len(body))


async def test_a_call_is_really_made_and_its_outcome_is_what_the_store_said():
    store: Any = Failing()
    assert await RetryingStore(store, QUICK).put("a", b"123") == Stat("a", 3)
    assert store.calls == 1


async def test_a_transient_failure_is_tried_again_and_heard_of():
    store, heard = Failing(Interrupted("a: cut"), Refused("a: 503")), []
    await retrying(lambda: store.put("a", b""), "a", QUICK, lambda *what: heard.append(what[:3:2]))
    assert store.calls == 3
    assert heard == [("a", 1), ("a", 2)]


async def test_the_wait_that_listeners_hear_of_is_a_plain_number_which_events_can_encode():
    store, heard = Failing(Interrupted("a: cut")), []
    await retrying(lambda: store.put("a", b""), "a", QUICK, lambda *what: heard.append(what[3]))
    assert [type(wait) for wait in heard] == [float]


async def test_the_last_failure_is_raised_when_the_tries_are_used_up():
    store: Any = Failing(*[Interrupted(f"a: {n}") for n in range(9)])
    with pytest.raises(Interrupted, match="a: 3"):
        await retrying(lambda: store.put("a", b""), "a", QUICK)
    assert store.calls == 4


@pytest.mark.parametrize("error", [NotFound("a: 404"), asyncio.CancelledError(), KeyError("a bug")])
async def test_what_is_permanent_cancelled_or_a_bug_is_not_tried_again(error):
    store: Any = Failing(error)
    with pytest.raises(type(error)):
        await retrying(lambda: store.put("a", b""), "a", QUICK)
    assert store.calls == 1


@pytest.mark.fault(24)
async def test_upstreams_own_wait_goes_before_ours():
    assert 5.0 <= Policy().wait(Refused("a", retry_after=5.0), 1) < 5.2
    assert all(0 <= Policy().wait(Interrupted("a"), n) <= 60 for n in range(1, 40))


@pytest.mark.fault(1, 9)
async def test_a_body_goes_on_at_the_byte_it_reached_and_progress_renews_its_tries():
    archive = Archive({"f": bytes(range(256)) * 4096}, chunk=1000)
    archive.faults = {"f": [break_after(n % 3 + 1) for n in range(20)]}
    async with Retrying(archive, QUICK).open("f") as body:
        assert b"".join([chunk async for chunk in body]) == archive.files["f"]
    archive.assert_spent()
    assert archive.sent == len(archive.files["f"])


@pytest.mark.fault(1, 12)
async def test_a_body_without_a_version_is_not_gone_on_with():
    archive = Archive({"f": bytes(5000)}, chunk=1000, versions=False)
    archive.faults = {"f": [break_after(2)]}

    async def read():
        async with Retrying(archive, QUICK).open("f") as body:
            return [chunk async for chunk in body]

    with pytest.raises(Changed, match="broke off at byte 2000"):
        await read()


async def test_a_listing_goes_on_behind_the_last_path_it_gave():
    archive = Archive({f"{n:02}": b"" for n in range(20)})
    archive.listing_fails_after = 9
    seen = []

    async def walk():
        async for page in Retrying(archive, QUICK).list_pages():
            seen.extend(stat.path for stat in page)
            if len(seen) == 4:
                archive.listing_fails_after = 14

    with pytest.raises(Interrupted):
        await walk()
    assert seen == sorted(set(seen))
    assert len(seen) > 4


class Stagings:
    """Opens and reads as often as told with an error, then whole; each block opens once, as those of a generator do."""

    piece = 1

    def __init__(self, *opening, reading=()):
        self.opening, self.reading, self.left = list(opening), list(reading), 0
        self.token, self.present_ranges = "token", ()

    @asynccontextmanager
    async def stage(self, path, *, size, resume=None, is_record=False, in_place=False, of=None):
        if self.opening:
            raise self.opening.pop(0)
        try:
            yield self
        finally:
            self.left += 1

    async def read(self):
        for chunk in (b"12", b"345", b"6"):
            if self.reading and self.reading[0][0] == chunk:
                raise self.reading.pop(0)[1]
            yield chunk


def stagings(*opening, **how) -> Any:
    return Stagings(*opening, **how)


async def test_a_staging_that_a_busy_server_refuses_is_begun_again():
    store: Any = Stagings(Refused("p: 503"), Interrupted("p: cut"))
    async with RetryingStore(store, QUICK).stage("p", size=1) as file:
        assert file.token == "token"
    assert store.left == 1
    with pytest.raises(NotFound):
        async with RetryingStore(stagings(NotFound("p: 404")), QUICK).stage("p", size=1):
            pass


async def test_a_staging_that_breaks_off_while_it_is_read_back_gives_every_byte_once():
    faults = [(b"12", Refused("p: 503")), (b"345", Interrupted("p: cut")), (b"6", Interrupted("p: cut"))]
    async with RetryingStore(store := stagings(reading=faults), QUICK).stage("p", size=6) as file:
        assert b"".join([chunk async for chunk in file.read()]) == b"123456"
    assert store.reading == []
    faults = [(b"345", Interrupted(f"p: {n}")) for n in range(9)]
    async with RetryingStore(stagings(reading=faults), QUICK).stage("p", size=6) as file:
        with pytest.raises(Interrupted, match="p: 3"):
            _ = [chunk async for chunk in file.read()]


def test_a_command_that_only_waited_when_it_was_asked_to_stop_was_interrupted():
    assert code_of(Halted("a: not waited for")) == INTERRUPTED
