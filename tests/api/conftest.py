"""A served API over a daemon in memory, and clients of every kind."""

import hashlib
from contextlib import asynccontextmanager

import aiohttp
import pytest

from syncd.api import serving
from syncd.config.api_access import Token
from syncd.web.page import StatusPage
from tests.fakes_control import FakeControl

NOW = 1_700_000_000.0
OPERATOR, READER = "syncd_right-operator", "syncd_right-reader"


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


TOKENS = (
    Token(name="ops", role="operator", sha256=sha256(OPERATOR)),
    Token(name="anna", role="reader", sha256=sha256(READER)),
)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


PAGE = StatusPage.load()  # its templates are compiled once for all tests


@asynccontextmanager
async def served_by(control, **more):
    """A session whose urls begin at the served API, and what serves it."""
    given = {"listen": "127.0.0.1:0", "tokens": TOKENS, "clock": lambda: control.now, "slowness": 0.0, "tick": 0.02}
    given["site"] = PAGE
    async with (
        serving(control, **{**given, **more}) as served,
        aiohttp.ClientSession(served.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        session.served = served
        yield session


@pytest.fixture
def control():
    return FakeControl(NOW)


@pytest.fixture
async def api(control):
    async with served_by(control) as session:
        yield session
