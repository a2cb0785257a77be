"""The OAI-PMH provider: every answer is valid, pages lose nothing, tombstones stay, harvesters and our reader read it."""

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web
from hypothesis import given, settings, strategies as st

from syncd.exchange import Agent, Node, OaiEntry, entry_of, oai
from syncd.exchange.markup import instant
from tests.exchange.publications import ALL, BARE, LANDSAT, NODE, NOW, VALIDATORS, golden, wild
from tests.exchange.xsd import faults, parsed

pytestmark = VALIDATORS
SPACE = "{http://www.openarchives.org/OAI/2.0/}"
STAMP = int(NOW) - 10_000
XSD = "oai/OAI-PMH.xsd"


def many(count, *, gone=()):
    return [
        OaiEntry(f"m{number:04}", STAMP + number // 3, ("access:open",))
        if number in gone
        else entry_of(replace(BARE, name=f"m{number:04}"), STAMP + number // 3)
        for number in range(count)
    ]


ENTRIES = [
    *(entry_of(held, STAMP + number) for number, held in enumerate(ALL)),
    OaiEntry("old", STAMP + 50, ("access:open", "field:earth")),
]


def asked(entries=ENTRIES, node=NODE, **arguments):
    pairs = [(name.rstrip("_"), value) for name, value in arguments.items()]
    return parsed(oai.answer(node, pairs, entries, NOW))


def error(root):
    found = root.find(f"{SPACE}error")
    return None if found is None else found.get("code")


def names(root):
    return [one.text.rpartition(":")[2] for one in root.iter(f"{SPACE}identifier")]


def harvested(entries_at, verb="ListIdentifiers", **arguments):
    """Read a list to its end; `entries_at(page)` are the entries at the time of that page."""
    found, page, token = [], 0, None
    while True:
        query = {"resumptionToken": token} if token else arguments
        root = asked(entries_at(page), verb=verb, **query)
        assert error(root) is None
        found += names(root)
        token = root.findtext(f".//{SPACE}resumptionToken")
        page += 1
        if not token:
            return found


VERBS = [
    {"verb": "Identify"},
    {"verb": "ListSets"},
    {"verb": "ListMetadataFormats"},
    {"verb": "ListMetadataFormats", "identifier": "oai:data.example.org:landsat"},
    {"verb": "ListRecords", "metadataPrefix": "oai_dc"},
    {"verb": "ListRecords", "metadataPrefix": "oai_datacite"},
    {"verb": "ListRecords", "metadataPrefix": "datacite", "set": "field:earth"},
    {"verb": "ListIdentifiers", "metadataPrefix": "oai_dc", "from_": "2026-11-29"},
    {"verb": "GetRecord", "metadataPrefix": "oai_dc", "identifier": "oai:data.example.org:landsat"},
    {"verb": "GetRecord", "metadataPrefix": "oai_dc", "identifier": "oai:data.example.org:old"},
]


@pytest.mark.parametrize("query", VERBS, ids=str)
def test_each_verb_is_answered_as_the_schema_says(query):
    root = asked(**query)
    assert error(root) is None
    assert faults(XSD, root) == []


@pytest.mark.parametrize(
    ("code", "query"),
    [
        ("badVerb", {}),
        ("badVerb", {"verb": "Delete"}),
        ("badArgument", {"verb": "Identify", "x": "y"}),
        ("badArgument", {"verb": "ListRecords"}),
        ("badArgument", {"verb": "ListRecords", "metadataPrefix": "oai_dc", "resumptionToken": "x"}),
        ("badArgument", {"verb": "ListRecords", "metadataPrefix": "oai_dc", "from_": "junk"}),
        ("badArgument", {"verb": "ListRecords", "metadataPrefix": "oai_dc", "from_": "2026-13-01"}),
        (
            "badArgument",
            {"verb": "ListRecords", "metadataPrefix": "oai_dc", "from_": "2026-11-30", "until": "2026-11-29"},
        ),
        (
            "badArgument",
            {"verb": "ListRecords", "metadataPrefix": "oai_dc", "from_": "2026-11-30", "until": "2026-11-30T00:00:00Z"},
        ),
        ("badArgument", {"verb": "ListRecords", "metadataPrefix": "oai_dc", "set": "a b"}),
        ("badArgument", {"verb": "GetRecord", "metadataPrefix": "oai_dc", "identifier": 'x" y="'}),
        ("badResumptionToken", {"verb": "ListRecords", "resumptionToken": "数据"}),
        ("badResumptionToken", {"verb": "ListRecords", "resumptionToken": "WzFd"}),
        ("badResumptionToken", {"verb": "ListSets", "resumptionToken": "x"}),
        ("cannotDisseminateFormat", {"verb": "ListRecords", "metadataPrefix": "marc"}),
        (
            "cannotDisseminateFormat",
            {"verb": "GetRecord", "metadataPrefix": "datacite", "identifier": "oai:data.example.org:bare"},
        ),
        (
            "idDoesNotExist",
            {"verb": "GetRecord", "metadataPrefix": "oai_dc", "identifier": "oai:data.example.org:secret"},
        ),
        ("noMetadataFormats", {"verb": "ListMetadataFormats", "identifier": "oai:data.example.org:old"}),
        ("noRecordsMatch", {"verb": "ListRecords", "metadataPrefix": "oai_dc", "until": "1990-01-01"}),
        ("noRecordsMatch", {"verb": "ListRecords", "metadataPrefix": "oai_dc", "set": "field:nothing"}),
    ],
)
def test_each_error_of_the_protocol_has_its_code(code, query):
    root = asked(**query)
    assert error(root) == code
    assert faults(XSD, root) == []
    assert bool(root.find(f"{SPACE}request").attrib) == (code not in {"badVerb", "badArgument"})


def test_a_repeated_argument_is_an_error_and_not_echoed():
    body = oai.answer(NODE, [("verb", "Identify"), ("verb", "Identify")], ENTRIES, NOW)
    assert error(parsed(body)) == "badVerb"
    pairs = [("verb", "ListRecords"), ("metadataPrefix", "oai_dc"), ("metadataPrefix", "oai_dc")]
    assert error(parsed(oai.answer(NODE, pairs, ENTRIES, NOW))) == "badArgument"


def test_the_answers_are_their_golden_files():
    for name, query in (("identify", VERBS[0]), ("records", VERBS[4]), ("sets", VERBS[1])):
        pairs = list(query.items())
        golden(f"oai-{name}.xml", oai.answer(NODE, pairs, ENTRIES, NOW))


def test_a_whole_list_is_paged_without_state_and_ends_with_an_empty_token():
    entries = many(230, gone={5, 150})
    assert harvested(lambda _: entries, metadataPrefix="oai_dc") == [one.name for one in entries]
    first = asked(entries, verb="ListRecords", metadataPrefix="oai_dc")
    token = first.find(f".//{SPACE}resumptionToken")
    assert (token.get("completeListSize"), token.get("cursor")) == ("230", "0")
    short = asked(many(100), verb="ListRecords", metadataPrefix="oai_dc")
    assert short.find(f".//{SPACE}resumptionToken") is None


def test_a_thousand_that_are_published_during_a_slow_harvest_are_all_seen():
    entries = many(1_000)
    published = {"last": entries[-1].stamp}

    def at(page):
        """Each page comes after the first entries of before changed once more, and ten were added."""
        for number in range(10 if page else 0):
            published["last"] += 1
            entries.append(entry_of(replace(BARE, name=f"n{page:03}-{number}"), published["last"]))
        if page:
            changed = entries.pop(page)
            published["last"] += 1
            entries.append(replace(changed, stamp=published["last"]))
        return list(entries)

    found = harvested(lambda page: at(page) if page < 20 else list(entries), metadataPrefix="oai_dc")
    assert set(found) == {one.name for one in entries}


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30), st.integers(0, 6), st.integers(0, 6))
def test_a_list_has_what_lies_between_two_times(rows, since, until):
    entries = sorted(
        (
            OaiEntry(f"m{number}", STAMP + at, ("access:open",), BARE if is_there else None)
            for number, (at, is_there) in enumerate(rows)
        ),
        key=lambda one: one.key,
    )
    root = asked(
        entries,
        verb="ListIdentifiers",
        metadataPrefix="oai_dc",
        from_=instant(STAMP + since),
        until=instant(STAMP + until),
    )
    wanted = [one.name for one in entries if STAMP + since <= one.stamp <= STAMP + until]
    assert names(root) == wanted
    assert error(root) == ("badArgument" if since > until else None if wanted else "noRecordsMatch")


def test_a_set_contains_those_below_it_and_any_theme_is_a_legal_set():
    held = replace(LANDSAT, themes=("地球 & ~sea", "earth"))
    entry = entry_of(held, STAMP)
    for spec in ("access", "access:open", *entry.sets):
        assert names(asked([entry], verb="ListIdentifiers", metadataPrefix="oai_dc", set=spec)) == ["landsat"]
    root = asked([entry], verb="ListSets")
    assert faults(XSD, root) == []
    assert "地球 & ~sea" in [one.text for one in root.iter(f"{SPACE}setName")]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8760/", "http://localhost/", "https://data.example.org:8443/x/"])
def test_identify_is_valid_wherever_the_node_is(url):
    node = Node("cn_demo 中", url, Agent({"": "x"}, email="no mail"))
    root = asked([], node, verb="Identify")
    assert faults(XSD, root) == []
    assert root.findtext(f".//{SPACE}deletedRecord") == "persistent"


@settings(max_examples=30)
@given(wild)
def test_any_text_leaves_every_answer_valid(held):
    entry = entry_of(held, STAMP)
    for prefix in ("oai_dc", "datacite", "oai_datacite"):
        assert faults(XSD, asked([entry], held.node, verb="ListRecords", metadataPrefix=prefix)) == []
    for verb in ("Identify", "ListSets"):
        assert faults(XSD, asked([entry], held.node, verb=verb)) == []


@pytest.fixture
async def door(aiohttp_server):
    """Serve the entries that a test changes; its url and the list."""
    entries = many(230, gone={*range(3, 26)})

    async def answered(request):
        pairs = [*request.query.items(), *((await request.post()).items() if request.method == "POST" else ())]
        return web.Response(body=oai.answer(NODE, pairs, entries, NOW), content_type="text/xml")

    app = web.Application()
    app.router.add_route("*", "/oai", answered)
    server = await aiohttp_server(app)
    return str(server.make_url("/")), entries


@pytest.mark.filterwarnings("ignore")
async def test_a_harvester_of_others_reads_all_pages(door):
    scythe = pytest.importorskip("oaipmh_scythe", reason="oaipmh-scythe harvests")
    url, entries = door

    def harvest():
        with scythe.Scythe(f"{url}oai") as harvester:
            return [
                (one.header.identifier, one.header.deleted) for one in harvester.list_records(metadata_prefix="oai_dc")
            ]

    found = await asyncio.to_thread(harvest)
    assert [name.rpartition(":")[2] for name, _ in found] == [one.name for one in entries]
    assert sum(deleted for _, deleted in found) == 23
