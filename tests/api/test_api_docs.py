"""docs/api.md says what is so."""

import re
from pathlib import Path

from syncd.api.auth.tokens import ALLOWANCE, REGAIN, SLOWNESS
from syncd.api.rest import ROUTES
from syncd.api.server import LARGEST_BODY
from syncd.api.sse import HEARTBEAT, LISTENERS
from syncd.api.table import renewed, table

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/api.md").read_text("utf-8")


def test_every_picture_that_is_shown_is_there_and_small():
    shown = set(re.findall(r"\((docs/images/[\w-]+\.png)\)", (ROOT / "README.md").read_text("utf-8")))
    assert shown
    for picture in shown:
        assert (ROOT / picture).read_bytes()[:4] == b"\x89PNG"
        assert (ROOT / picture).stat().st_size < 250_000


def test_the_table_is_the_routes():
    assert renewed(TEXT) == TEXT, "run python -m syncd.api.table"
    assert table().count("\n") == len(ROUTES) + 1


def test_every_request_of_an_example_exists():
    paths = [re.sub(r"{\w+}", "[^/]+", route.path) for route in ROUTES]
    for asked in re.findall(r"http://127\.0\.0\.1:8750(/[^\s?'`]*)", TEXT):
        assert any(re.fullmatch(path, asked) for path in paths), asked


def test_the_figures_are_the_ones_in_force():
    assert (LARGEST_BODY, LISTENERS, HEARTBEAT, ALLOWANCE, REGAIN, SLOWNESS) == (1 << 20, 64, 15.0, 10, 30.0, 1.0)
    for said in ("1 MiB", "at most 64", "every fifteen seconds", "After ten", "half a minute", "waits a second"):
        assert said in " ".join(TEXT.split())
