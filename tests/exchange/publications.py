"""Publications that the tests of outward formats share, the golden files, and publications of any text."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import strategies as st

from syncd.exchange import Agent, DatasetIdentifier, Node, Publication, PublishedFile, PublishedVersion

GOLDEN = Path(__file__).parents[1] / "fixtures" / "exchange"
SCHEMAS = Path(__file__).parents[3] / "shared" / "schemas"  # beside a checkout, where its owner keeps them
VALIDATORS = pytest.mark.xdist_group("validators")  # heavy ones are imported once

NODE = Node(
    "cn-demo",
    "https://data.example.org/",
    Agent({"en": "Demo Mirror Centre", "zh": "示范镜像中心"}, "https://example.org/", "data@example.org"),
)
NOW = 1_795_996_800.0  # 2026-11-30T00:00:00Z
FIRST = PublishedVersion("1" * 64, NOW - 864_000, 2, 300)
SECOND = PublishedVersion("2e971bd3fac3" + "0" * 52, NOW - 86_400, 3, 600, FIRST.id, (1, 1, 0), ("v2",))
FILES = (
    PublishedFile("a.tif", 100, "a" * 64, NOW - 90_000),
    PublishedFile("数据/b c+d#.nc", 200, "b" * 64, NOW - 90_000),
    PublishedFile("z.csv.gz", 300, "c" * 64),
)
LANDSAT = Publication(
    name="landsat",
    node=NODE,
    titles={"en": "Landsat 8 over Greenland", "zh": "陆地卫星8号，格陵兰"},
    descriptions={
        "en": "Surface reflectance of Landsat 8 over Greenland & its <glaciers>.",
        "zh": "格陵兰的地表反射率。",
    },
    history=(SECOND, FIRST),
    published=FIRST.created,
    updated=NOW - 3_600,
    checked=NOW - 60,
    creators=(
        Agent({"": "U.S. Geological Survey"}, ror="https://ror.org/035a68863"),
        Agent({"": "Josiah Carberry"}, orcid="https://orcid.org/0000-0002-1825-0097", affiliation="Brown University"),
    ),
    identifiers=(DatasetIdentifier("doi", "10.5072/x"), DatasetIdentifier("cstr", "31253.11.sciencedb.j00001.00123")),
    source="https://landsatlook.example.gov/stac",
    same_as="https://www.example.gov/landsat",
    themes=("earth",),
    keywords=("Landsat", "冰"),
    spatial=(-43.2, 70.9, -34.9, 73.4),
    temporal=("2015-07-10", ".."),
    licence="CC-BY-4.0",
    citation="U.S. Geological Survey: Landsat 8, https://doi.org/10.5072/x",
    contact="steward@example.org",
    verified=2,
    attested=1,
    files=FILES,
)
BARE = Publication("bare", NODE, {"": "A title"}, (FIRST,), FIRST.created, FIRST.created)
RESTRICTED = replace(LANDSAT, name="mimic", access="restricted", licence="PhysioNet Credentialed 1.5.0", files=())
REGISTERED = replace(LANDSAT, name="cohort", access="registered", licence="not stated", spatial=(170, -10, -170, 10))
ALL = (LANDSAT, BARE, RESTRICTED, REGISTERED)


def golden(name, body):
    """Compare a document with its file in tests/fixtures/exchange; `WRITE_GOLDEN=1` writes it."""
    file = GOLDEN / name
    if os.environ.get("WRITE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    assert body.decode() == file.read_text("utf-8"), f"{file.name} differs: WRITE_GOLDEN=1 writes it"


def schema(name):
    """Return a schema that lies beside the checkout, or skip the test."""
    file = SCHEMAS / name
    if not file.exists():
        pytest.skip(f"{name} is not beside the checkout: the golden files were valid when they were written")
    return file


_wild = st.one_of(
    st.text(st.characters(), max_size=60),
    st.text(st.sampled_from("\x00\x08\x0b\x1b\ufffe\uffff\ud800\"'<>&\\\r\n\t]]>{}\u202e\u05d0\u200f "), max_size=60),
    st.sampled_from(
        ["</script><script>alert(1)</script>", "<!--", "]]>", "\u2028", "x" * 10_000, "&amp;", '"""', "\\"]
    ),
)
_texts = st.dictionaries(st.sampled_from(["en", "zh", "", 'x"y', "de-CH"]), _wild, max_size=3)
_agents = st.builds(Agent, _texts, _wild, _wild, st.just(""), st.just(""), _wild)
_names = st.text(
    st.characters(exclude_categories=["Cc", "Cf", "Cs"], exclude_characters="/\\"), min_size=1, max_size=20
)
_files = st.builds(
    PublishedFile,
    st.lists(_names.filter(lambda name: name not in {".", ".."}), min_size=1, max_size=3).map("/".join),
    st.integers(0, 2**60),
    st.just("d" * 64),
    st.floats(0, 4e9) | st.none(),
)
wild = st.builds(
    replace,
    st.sampled_from(ALL),
    titles=_texts,
    descriptions=_texts,
    creators=st.lists(_agents, max_size=2).map(tuple),
    source=_wild,
    same_as=_wild,
    themes=st.lists(_wild, max_size=2).map(tuple),
    keywords=st.lists(_wild, max_size=2).map(tuple),
    licence=_wild,
    citation=_wild,
    contact=_wild,
    files=st.lists(_files, max_size=3, unique_by=lambda file: file.path).map(tuple),
    node=st.builds(replace, st.just(NODE), publisher=_agents),
)
"""Publications whose texts are anything."""
