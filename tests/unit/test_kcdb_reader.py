"""The BIPM's key comparisons: a search whose cards are the files."""

import json

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from manifests.readers import kcdb
from manifests.reading.document import DerivedFile, DocumentError
from tests.unit.reader_harness import Source, answer, broken, follows, survives

KCDB = "https://www.bipm.example/api/kcdb/"


def bipm(**options):
    return kcdb.open_reader(Source(KCDB, kcdb.KcdbOptions(**options)))


def page(cards, number=0, size=2, total=None, version="1.0.9"):
    total = len(cards) if total is None else total
    data = cards[number * size : (number + 1) * size]
    return json.dumps(
        {
            "version": version, "pageNumber": number, "pageSize": size, "numberOfElements": len(data),
            "totalElements": total, "totalPages": -(-total // size), "aggregations": [], "data": data,
        }
    )  # fmt: skip


def card(number, **more):
    return {
        "kcdbCode": f"EURAMET-EM-{number}",
        "status": "Published",
        "id": number,
        "nmi": {"b": "é", "a": 1.50},
        **more,
    }


def test_a_search_is_read_page_by_page_and_each_of_its_cards_is_a_file():
    cards = [card(n) for n in range(5)]
    reader = bipm(searches=["physics"], page_size=2, query={"metrologyAreaLabel": "EM"})
    (first,) = reader.start()
    assert (first.url, first.method, first.headers["content-type"]) == (
        f"{KCDB}cmc/searchData/physics",
        "POST",
        "application/json",
    )
    assert json.loads(first.body) == {"metrologyAreaLabel": "EM", "page": 0, "pageSize": 2, "showTable": False}
    found, asked = [], [first]
    while asked[len(found) :]:
        found.append(list(reader.read(answer(asked[-1], page(cards, len(found))))))
        asked += follows(found[-1])
    assert [json.loads(one.body)["page"] for one in asked] == [0, 1, 2]
    made = {one.path: one.body for here in found for one in here if isinstance(one, DerivedFile)}
    assert sorted(made) == [f"physics/{n}.json" for n in range(5)]
    assert json.loads(made["physics/3.json"]) == cards[3]


@pytest.mark.promise("P5")
def test_a_page_of_a_search_that_comes_twice_makes_the_inventory_incomplete():
    cards = [card(n) for n in range(4)]
    reader = bipm(searches=["physics"], page_size=2)
    (first,) = reader.start()
    (second,) = follows(reader.read(answer(first, page(cards))))
    with pytest.raises(DocumentError, match="page 2 of the list repeats an earlier page"):
        list(reader.read(answer(second, page(cards))))


def test_the_same_card_is_the_same_file_however_it_is_written():
    (first,) = bipm(searches=["radiation"]).start()
    one = {"id": 7, "status": "Published", "a": [1, {"y": 2, "x": "é"}], "n": None}
    other = json.dumps({"n": None, "a": [1, {"x": "é", "y": 2}], "status": "Published", "id": 7}, indent=3)
    bodies = {
        made.body
        for text in (page([one], size=1000), page([json.loads(other)], size=1000, version="2"))
        for made in bipm(searches=["radiation"]).read(answer(first, text))
    }
    assert len(bodies) == 1
    assert bodies.pop().endswith(b"}\n")


def test_what_was_deleted_is_no_file():
    (first,) = bipm(searches=["physics"]).start()
    body = page([card(1, status="Deleted"), card(2, status="Archived"), card(3)], size=1000)
    assert [m.path for m in bipm(searches=["physics"]).read(answer(first, body))] == [
        "physics/2.json",
        "physics/3.json",
    ]
    kept = bipm(searches=["physics"], without=[])
    assert len(list(kept.read(answer(first, body)))) == 3


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (page([card(1), card(2)], 1, total=4, version="9"), "4 records of version '1.0.9' became 4 of '9'"),
        (page([card(1), card(2), card(3)], 1, total=5), "4 records .* became 5"),
        (page([card(1), card(2), card(3)], 1, total=4), "page 1 has 1 records, not 2"),
        ('{"data": []}', "does not give the total"),
        ("<html>", "web page"),
    ],
)
def test_a_database_that_changes_while_it_is_read_is_not_mirrored_by_half(body, said):
    reader = bipm(searches=["physics"], page_size=2)
    (first,) = reader.start()
    (second,) = follows(reader.read(answer(first, page([card(n) for n in range(4)]))))
    with pytest.raises(DocumentError, match=said):
        list(reader.read(answer(second, body)))


def test_a_card_without_an_id_cannot_be_named():
    (first,) = bipm(searches=["physics"]).start()
    with pytest.raises(DocumentError, match="without an id"):
        list(bipm(searches=["physics"]).read(answer(first, page([{"status": "Published"}], size=1000))))


def test_options_of_the_database_are_checked():
    for wrong in ({"searches": ["astrology"]}, {"page_size": 0}, {"page_size": 10_001}, {"searches": []}):
        with pytest.raises(ValidationError):
            kcdb.KcdbOptions(**wrong)


@given(drawn=st.data())
def test_whatever_is_broken_only_a_document_error_comes_of_it(drawn):
    reader = bipm()
    survives(reader, next(iter(reader.start())), drawn.draw(broken(page([card(1), card(2)], size=1000))))
