"""Small parts of the public side: media types, limits, paths and addresses of clients."""

import ipaddress
from types import SimpleNamespace
from typing import Any

import pytest
from multidict import CIMultiDict

from syncd.face.answers import Reject
from syncd.face.asked import split_path
from syncd.face.client_address import client_address
from syncd.face.content_types import is_active, media_type, saved_as
from syncd.face.pacing import PrefixLimits, TokenBucket, prefix_of


def test_a_file_is_described_by_its_name_and_never_unpacked():
    assert media_type("a/b.TIF") == "image/tiff"
    assert media_type("x.nc") == "application/x-netcdf"
    assert media_type("x.csv.gz") == "application/gzip"
    assert media_type("x.svgz") == media_type("Makefile") == media_type(".html") == "application/octet-stream"


@pytest.mark.parametrize("name", ["a.html", "a.HTM", "a.xhtml", "a.svg", "a.xml", "a.rdf", "a.xsl", "a.js", "a.mht"])
def test_a_file_that_may_hold_a_script_is_only_saved(name):
    assert is_active(media_type(name))


def test_the_name_of_a_saved_file_cannot_leave_its_header():
    assert saved_as('x/a"\r\nSet-Cookie: b=1;数.html') == (
        "attachment; filename*=UTF-8''a%22%0D%0ASet-Cookie%3A%20b%3D1%3B%E6%95%B0.html"
    )


@pytest.mark.parametrize(
    "raw", ["/a/../b", "/a/%2e%2e/b", "/a/./b", "/a//b", "/%2Fetc", "/a%2f..%2fb", "/a%00b", "/%ff", "/a/\udcff"]
)
def test_a_path_that_no_address_of_ours_has_is_not_found(raw):
    with pytest.raises(Reject) as caught:
        split_path(raw)
    assert caught.value.status == 404


def test_the_parts_of_a_path_are_decoded_once():
    assert split_path("/mirrors/m/%2541 b/%E6%95%B0+/") == ("mirrors", "m", "%41 b", "数+", "")
    assert split_path("/") == ("",)


def test_an_allowance_is_earned_with_time_and_its_debt_is_waited_for():
    now = [0.0]
    allowance = TokenBucket(10.0, burst=1.0, clock=lambda: now[0])
    assert allowance.take(10) == 0
    assert allowance.take(5) == pytest.approx(0.5)
    now[0] = 1.0
    assert allowance.take_now() == 0
    now[0] = 100.0
    assert [allowance.take_now() for _ in range(10)] == [0] * 10
    assert allowance.take_now() == pytest.approx(0.1)


def test_the_neighbours_of_an_address_share_its_limits():
    limits = PrefixLimits(1.0, 2, clock=lambda: 0.0)
    near, far = prefix_of("192.0.2.1"), prefix_of("192.0.3.1")
    assert near == prefix_of("192.0.2.200") == prefix_of("::ffff:192.0.2.9") != far
    assert prefix_of("2001:db8:1:2::1") == prefix_of("2001:db8:1:ffff::1") == "2001:db8:1::/48"
    assert [bool(limits.wait_for(near)) for _ in range(3)] == [False, False, True]
    assert not limits.wait_for(far)
    assert [limits.enter(near) for _ in range(3)] == [True, True, False]
    limits.leave(near)
    assert limits.enter(near)


def test_a_client_chooses_its_address_only_behind_a_trusted_proxy():
    request: Any = SimpleNamespace(remote="10.0.0.1", headers=CIMultiDict({"X-Forwarded-For": "1.1.1.1, 2.2.2.2"}))
    assert client_address(request, ()) == "10.0.0.1"
    assert client_address(request, (ipaddress.ip_network("10.0.0.0/8"),)) == "2.2.2.2"
    assert client_address(request, tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "2.2.2.2")))) == "1.1.1.1"
