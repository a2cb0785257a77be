"""The http transport is tried on both event loops, over TLS and without: their closes and resets are not the same."""

import asyncio

import pytest
import uvloop

from tests.hostile import http_case

OVER_TLS = ("test_http_bodies.py", "test_http_ranges.py", "test_thread_copy.py")


def pytest_asyncio_loop_factories(item):
    loops = {"asyncio": asyncio.new_event_loop}
    return {**loops, "uvloop": uvloop.new_event_loop} if item.path.name.startswith("test_http_") else loops


def pytest_generate_tests(metafunc):
    if metafunc.definition.path.name in OVER_TLS:
        metafunc.fixturenames.append("wire")
        metafunc.parametrize("wire", ["plain", "tls"], indirect=True)


@pytest.fixture
def wire(request, authority, monkeypatch):
    """Let `http_case.hostile` serve over TLS."""
    if request.param == "tls":
        monkeypatch.setattr(http_case, "secured_by", [authority])
