"""The dataset report of COUNTER is as the schema of its hub wants it, and has no dataset without a DOI."""

import json

import jsonschema
import pytest

from syncd.exchange import Agent, DatasetCount, DatasetIdentifier, Node, Publication, PublishedVersion, dataset_report
from syncd.usage import Period
from syncd.usage.period import month_in

NODE = Node("cn-demo", "https://data.example.org/", Agent({"en": "Demo Mirror Centre"}))
PERIOD = {"type": "object", "required": ["begin-date", "end-date"]}
IDENTIFIER = {"type": "object", "required": ["type", "value"]}
# What the schema of the hub (datacite/sashimi, sushi_usage_schema.json) asks for.
INSTANCE = {
    "type": "object",
    "required": ["count", "metric-type", "access-method"],
    "properties": {
        "metric-type": {
            "enum": [
                "total-dataset-investigations", "total-dataset-requests", "unique-dataset-investigations",
                "unique-dataset-requests",
            ]
        },
        "count": {"type": "integer", "minimum": 1},
        "access-method": {"enum": ["regular", "machine"]},
        "country-counts": {"type": "object", "patternProperties": {"^[a-z]{2}$": {"type": "integer"}}},
    },
    "additionalProperties": False,
}  # fmt: skip
SCHEMA = {
    "type": "object",
    "required": ["report-header", "report-datasets"],
    "properties": {
        "report-header": {
            "type": "object",
            "required": ["release", "report-id", "report-name", "created", "created-by", "reporting-period"],
            "properties": {"release": {"const": "rd1"}, "report-id": {"const": "dsr"}, "reporting-period": PERIOD},
        },
        "report-datasets": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["data-type", "dataset-title", "performance", "platform", "publisher", "publisher-id"],
                "properties": {
                    "data-type": {"enum": ["dataset"]},
                    "yop": {"type": "string", "pattern": "^[0-9]{4}$"},
                    "dataset-id": {
                        "type": "array",
                        "items": IDENTIFIER | {"properties": {"type": {"enum": ["doi", "DOI", "proprietary", "uri"]}}},
                    },
                    "publisher-id": {
                        "type": "array",
                        "items": IDENTIFIER
                        | {"properties": {"type": {"enum": ["isni", "orcid", "grid", "urn", "client-id"]}}},
                    },
                    "performance": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "required": ["instance", "period"],
                            "properties": {"period": PERIOD, "instance": {"type": "array", "items": INSTANCE}},
                        },
                    },
                },
            },
        },
    },
}


def publication(name, *identifiers):
    creators = (Agent({"en": "U.S. Geological Survey"}, ror="https://ror.org/035a68863"),)
    history = (PublishedVersion("a" * 64, 1.7e9, 3, 10),)
    return Publication(
        name, NODE, {"en": f"Data of {name}"}, history, 1.7e9, 1.7e9, creators=creators, identifiers=identifiers
    )


def count(month, method, metric, country, number):
    return DatasetCount(*month_in(Period("2026-01-05", "2026-12-31"), month), method, metric, country, number)


def report(*counted):
    return json.loads(dataset_report(NODE, counted, "2026-01-05", "2026-12-31", 1.79e9))


def test_a_report_fits_the_schema_and_adds_the_countries_up():
    doi = DatasetIdentifier("doi", "10.5072/x")
    counts = [
        count("2026-01", "machine", "total-dataset-requests", "cn", 5),
        count("2026-01", "machine", "total-dataset-requests", "de", 2),
        count("2026-01", "machine", "total-dataset-requests", "", 1),
        count("2026-01", "machine", "total-dataset-requests", "cn", 1),
        count("2026-01", "regular", "unique-dataset-requests", "cn", 0),
        count("2026-02", "regular", "total-dataset-investigations", "", 4),
    ]
    made = report((publication("landsat", doi), counts), (publication("other"), counts), (publication("idle", doi), ()))
    jsonschema.validate(made, SCHEMA)
    (dataset,) = made["report-datasets"]  # the others have no DOI, or no counts
    assert dataset["dataset-id"] == [{"type": "doi", "value": "10.5072/x"}]
    assert (dataset["publisher"], dataset["platform"], dataset["yop"]) == ("U.S. Geological Survey", "cn-demo", "2023")
    january, february = dataset["performance"]
    assert january["period"] == {"begin-date": "2026-01-05", "end-date": "2026-01-31"}
    (machine,) = january["instance"]
    assert (machine["count"], machine["country-counts"]) == (9, {"cn": 6, "de": 2})
    assert "country-counts" not in february["instance"][0]


@pytest.mark.parametrize(("month", "last"), [("2024-02", "2024-02-29"), ("2026-12", "2026-12-31")])
def test_a_month_ends_with_its_last_day(month, last):
    assert month_in(Period("2000-01-01", "2999-12-31"), month) == (f"{month}-01", last)
