"""One place takes over from another in the middle of a range; and what is believed of each source."""

from typing import Any

import pytest

from manifests.stat import Stat
from syncd.core.errors import Interrupted, Mismatch, NotFound
from syncd.sources.multi_source import MultiSourceTransport
from syncd.wrappers.failover_transport import FailoverTransport
from syncd.wrappers.retry_policy import Policy
from syncd.wrappers.retrying_transport import Retrying
from tests.hostile.faults import Drip, Status, Truncate
from tests.hostile.http_case import at
from tests.hostile.server import HostileServer

CONTENT = bytes(range(256)) * 4000


async def read(transport, path, **span):
    async with transport.open(path, **span) as body:
        return b"".join([chunk async for chunk in body])


async def drink(transport, path, **span):
    taken = []
    async with transport.open(path, **span) as body:
        async for _ in body.copy_to_sink(lambda chunk: taken.append(bytes(chunk))):
            pass
    return b"".join(taken)


@pytest.fixture
async def two():
    async with (
        HostileServer({"x": CONTENT}) as a,
        HostileServer({"x": CONTENT}) as b,
        at(a, b, floor=(100_000.0, 0.5)) as transport,
    ):
        yield a, b, Retrying(transport, Policy(attempts=1))


@pytest.mark.parametrize("way", [read, drink])
async def test_a_range_that_breaks_or_stalls_is_taken_over_at_the_byte_it_reached(two, way):
    a, b, transport = two
    for fault in (Truncate(after=1000), Drip(), Status(503)):
        a.fault("x", fault)
        relay = FailoverTransport(transport, (b.url("x"),))
        assert await way(relay, a.url("x"), start=1, stop=900_000) == CONTENT[1:900_000]
    a.assert_spent()
    begun = [int(request.headers["range"][6:].partition("-")[0]) for request in b.requests]
    assert begun[0] == 1001
    assert begun[-1] == 1


async def test_when_nobody_is_left_the_failure_is_what_it_was(two):
    a, b, transport = two
    a.fault("x", Truncate(after=1000))
    b.fault("x", Truncate(after=1000))
    with pytest.raises(Interrupted):
        await read(FailoverTransport(transport, (b.url("x"),)), a.url("x"))
    a.fault("x", Status(404))
    with pytest.raises(NotFound):
        await read(FailoverTransport(transport, (b.url("x"),)), a.url("x"))


@pytest.mark.fault(35)
async def test_a_file_of_another_length_takes_nothing_over(two):
    a, b, transport = two
    a.fault("x", Truncate(after=1000))
    b.put("x", CONTENT + b"!")
    with pytest.raises(Mismatch, match=r"1024000 bytes, and .* has 1024001"):
        await read(FailoverTransport(transport, (b.url("x"),)), a.url("x"))


class Here:
    """A transport of which only its name is asked."""


def alternating(*urls, **more):
    now = [0.0]
    sources: list[Any] = [(url, Here()) for url in urls]
    return now, MultiSourceTransport(sources, clock=lambda: now[0], **more)


def test_a_file_is_asked_for_in_the_order_of_the_sources_and_last_where_it_failed_just_now():
    now, several = alternating("https://a/x/", "s3://b/y/", "ftp://c/")
    stat = Stat("d e/f#1")
    assert several.targets(stat) == ("https://a/x/d%20e/f%231", "s3://b/y/d e/f#1", "ftp://c/d%20e/f%231")
    several.failed(0)
    assert several.targets(stat)[-1] == "https://a/x/d%20e/f%231"
    now[0] = 61.0
    assert several.targets(stat)[0] == "https://a/x/d%20e/f%231"


def test_the_fastest_is_first_and_who_was_not_measured_before_it():
    _, several = alternating("https://a/", "https://b/", "https://c/", fastest=True)
    for place, count in zip(several.sources, (10, 1000, 0), strict=True):
        place.bytes, place.seconds = count, 1.0 if count else 0.0
    assert several.targets(Stat("x")) == ("https://c/x", "https://b/x", "https://a/x")


def test_what_a_catalogue_names_stays_first_and_is_found_below_the_others():
    _, several = alternating("https://a/x/", "https://b/")
    inside = Stat("p", urls=("https://a/x/deep/p.nc", "https://elsewhere/p.nc"))
    assert several.targets(inside) == ("https://a/x/deep/p.nc", "https://elsewhere/p.nc", "https://b/deep/p.nc")
    assert several.targets(Stat("p", urls=("made:0+1:00:x",))) == ("made:0+1:00:x",)
    assert len(several.targets(Stat("p", urls=tuple(f"https://a/{n}" for n in range(100))))) == 8


def test_a_url_is_asked_of_the_source_that_it_lies_below():
    _, several = alternating("https://a/", "https://a/deep/", "https://b/")
    for url, number in [("https://a/x", 0), ("https://a/deep/x", 1), ("https://b/x", 2), ("x", 0), ("https://z/x", 0)]:
        assert several._of(url) is several.sources[number]
