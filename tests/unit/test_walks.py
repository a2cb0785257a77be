"""The two walks of docs/architecture.md name what exists, and are as short as they say."""

import gc
import hashlib
import importlib
import re
import types
from contextlib import aclosing
from pathlib import Path

import pytest

from syncd.core.ports import CopyingBody
from syncd.sources.open_source import Upstream, open_upstream
from syncd.streams.thread_copy import copy_to_sink
from syncd.wrappers.fair_share import alone
from syncd.wrappers.governors import Governors
from tests.hostile.server import HostileServer

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
BYTE = "One byte from upstream to its final name and snapshot"
FILE = "One steward's file from disk to a running mirror"
NAME = re.compile(r"`((?:syncd|transports|manifests)\.[\w.]+)`")
LONG = hashlib.shake_256(b"walked").digest(3 << 20)


def walk(heading):
    """Return the text of a walk, and the first name of each of its numbered stops."""
    text = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return text, [NAME.findall(line)[0] for line in text.splitlines() if re.match(r"[0-9]+\. ", line)]


def resolve(name):
    """Return what a dotted name stands for; raises AttributeError, ImportError."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:end])
        if path.is_dir() or path.with_suffix(".py").exists():
            found = importlib.import_module(".".join(parts[:end]))
            for part in parts[end:]:
                found = getattr(found, part)
            return found, ".".join(parts[:end])
    raise ImportError(name)


@pytest.mark.parametrize("heading", [BYTE, FILE])
def test_every_name_in_the_walks_exists(heading):
    text, stops = walk(heading)
    names = NAME.findall(text)
    assert len(names) >= len(stops) > 3
    for name in names:
        resolve(name)


def test_the_file_passes_ten_modules_at_most():
    _, stops = walk(FILE)
    modules = [resolve(stop)[1] for stop in stops]
    assert len(set(modules)) == len(modules) <= 10


async def test_the_byte_makes_exactly_the_hops_that_the_page_lists():
    _, stops = walk(BYTE)
    async with HostileServer({"x": LONG}) as server:
        where = Upstream(url=server.url(), allow_private=frozenset({server.origin}))
        transport = open_upstream(where, Governors(), connections=alone(1, 1))
        try:
            async with transport.open("x") as body:
                assert isinstance(body, CopyingBody)
                async with aclosing(copy_to_sink(body, lambda _: None)) as counts:
                    first = await anext(counts)  # of a quick server's body it may be all
                    hops = {one.ag_code for one in live()}
                    assert first + sum([count async for count in counts]) == len(LONG)
        finally:
            await transport.aclose()
    assert hops == {resolve(stop)[0].__code__ for stop in stops}
    assert len(stops) <= 6


def live():
    """Return the asynchronous generators of syncd that wait at this moment."""
    return [
        one
        for one in gc.get_objects()
        if isinstance(one, types.AsyncGeneratorType)
        and one.ag_frame is not None
        and Path(one.ag_code.co_filename).is_relative_to(ROOT)
        and not Path(one.ag_code.co_filename).is_relative_to(ROOT / "tests")
    ]
