"""Reports of usage over HTTP: for whom, of which mirrors, as JSON and as a drawn page in both languages."""

import csv

import pytest
from selectolax.lexbor import LexborHTMLParser as Tree

from syncd.usage import Period, report_csv, usage_report
from tests.api.conftest import bearer
from tests.api.test_token_scopes import PARTNER, SCOPED, Published, public


async def test_a_report_says_what_was_delivered_and_saved(api):
    async with api.get("/api/v1/usage?from=2023-01&to=2023-12-31&by=country") as answer:
        assert answer.status == 200
        report = await answer.json()
    assert (report["from"], report["to"], report["by"]) == ("2023-01-01", "2023-12-31", "country")
    assert [(row["value"], row["figures"]["bytes"]) for row in report["rows"]] == [
        ("cn", 9_000_000_000), ("de", 400_000_000)
    ]  # fmt: skip
    assert report["total"]["requests"] == 33  # no robot
    october, november = report["saved"]
    assert (october["saved"], november["saved"]) == (5_000_000_000, -600_000_000)
    assert (october["domestic"], november["abroad"]) == (9_000_000_000, 400_000_000)
    assert report["hours"] == [{"mirror": "telescope", "month": "2023-11", "hours": 412.5}]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("by=person", 400),
        ("from=yesterday", 400),
        ("from=2023-13", 422),
        ("from=2023-02&to=2023-01", 422),
        ("since=1", 400),
    ],
)
async def test_what_is_no_day_is_refused(api, query, status):
    async with api.get(f"/api/v1/usage?{query}") as answer:
        assert answer.status == status


async def test_the_dataset_report_is_served_as_json(api):
    async with api.get("/api/v1/usage/dsr?from=2023-10&to=2023-11") as answer:
        report = await answer.json()
    assert report["report-header"]["report-id"] == "dsr"
    assert report["report-header"]["reporting-period"] == {"begin-date": "2023-10-01", "end-date": "2023-11-30"}


async def test_a_token_sees_its_mirrors_and_strangers_and_partners_see_none():
    control = Published()
    async with public(control) as api:
        for headers, requests in ((bearer(SCOPED), 33), (bearer(PARTNER), 0), ({}, 0)):
            async with api.get("/api/v1/usage?from=2023-01&to=2023-12&by=mirror", headers=headers) as answer:
                assert answer.status == 200
                report = await answer.json()
            assert report["total"]["requests"] == requests, headers
            assert {one["mirror"] for one in report["saved"]} <= {"idle"}
            if not requests:
                assert not report["rows"]
                assert not report["saved"]


@pytest.mark.parametrize(("language", "word"), [("en", "Network saved"), ("zh", "节省的网络流量")])
async def test_the_page_draws_the_months_in_both_languages(api, language, word):
    async with api.get("/usage?from=2023-01&to=2023-12&by=kind", headers={"Accept-Language": language}) as answer:
        assert answer.status == 200
        tree = Tree(await answer.text())
    assert word in tree.text()
    assert len(tree.css("svg.columns rect.delivered")) == 2
    assert len(tree.css("#usage-rows tbody tr")) == 3
    heights = [float(one.attributes["height"] or 0) for one in tree.css("svg.columns rect")]
    assert max(heights) == 96
    assert tree.css_first("#usage-hours") is not None


async def test_the_page_without_counts_says_so(api):
    async with api.get("/usage?from=1999-01&to=1999-02", headers={"Accept": "text/html"}) as answer:
        text = await answer.text()
    assert "Nothing was delivered" in text


def test_no_cell_of_the_csv_is_a_formula(control):
    cell = control.cells[0]._replace(institution="=HYPERLINK(1)")
    text = report_csv(usage_report(Period("2023-01-01", "2023-12-31"), "institution", [cell], (), (), ()))
    rows = list(csv.reader(text.splitlines()))
    assert rows[1][2] == "'=HYPERLINK(1)"
