"""The dataset report (DSR) of COUNTER's Code of Practice for Research Data, in the JSON that Make Data Count takes.

Only datasets with a DOI can be reported. Counts of zero are left out, as the schema of the hub says.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from manifests.messages import plain
from syncd.exchange.publication import Agent, Node, Publication

METRICS = (
    "total-dataset-investigations", "total-dataset-requests", "unique-dataset-investigations",
    "unique-dataset-requests",
)  # fmt: skip
UNKNOWN_YEAR = "0001"  # as the schema says


class DatasetCount(NamedTuple):
    """One count: `method` is regular or machine, `country` two small letters or ""."""

    first: str
    """The first day."""
    last: str
    method: str
    metric: str
    country: str
    number: int


def dataset_report(
    node: Node, counted: Iterable[tuple[Publication, Iterable[DatasetCount]]], first: str, last: str, created: float
) -> bytes:
    """Return the report about the datasets with a DOI and with counts."""
    at = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = (_dataset(node, publication, counts) for publication, counts in counted)
    report = {
        "report-header": {
            "report-name": "dataset report",
            "report-id": "dsr",
            "release": "rd1",
            "created": at,
            "created-by": node.publisher.name,
            "reporting-period": {"begin-date": first, "end-date": last},
            "report-filters": [],
            "report-attributes": [],
            "exceptions": [],
        },
        "report-datasets": [one for one in found if one is not None],
    }
    return msgspec.json.encode(report, enc_hook=plain) + b"\n"


def _dataset(node: Node, publication: Publication, counts: Iterable[DatasetCount]) -> dict[str, Any] | None:
    dois = [one.value for one in publication.identifiers if one.scheme == "doi"]
    performance = _performance(counts)
    if not dois or not performance:
        return None
    original = publication.creators[0] if publication.creators else node.publisher
    year = datetime.fromtimestamp(publication.published, UTC).strftime("%Y") if publication.published else UNKNOWN_YEAR
    return {
        "dataset-title": publication.title,
        "dataset-id": [{"type": "doi", "value": doi} for doi in dois],
        "dataset-contributors": [{"type": "name", "value": one.name} for one in publication.creators],
        "publisher": original.name,
        "publisher-id": _identifiers(original),
        "platform": node.name,
        "yop": year,
        "data-type": "dataset",
        "performance": performance,
    }


def _identifiers(publisher: Agent) -> list[dict[str, str]]:
    return [{"type": "urn", "value": publisher.identifier}] if publisher.identifier else []


def _performance(counts: Iterable[DatasetCount]) -> list[dict[str, Any]]:
    periods: dict[tuple[str, str], dict[tuple[str, str], dict[str, int]]] = {}
    for one in counts:
        if one.number:
            kinds = periods.setdefault((one.first, one.last), {})
            by_country = kinds.setdefault((one.method, one.metric), {})
            by_country[one.country] = by_country.get(one.country, 0) + one.number
    return [
        {
            "period": {"begin-date": first, "end-date": last},
            "instance": [_instance(*key, by_country) for key, by_country in sorted(kinds.items())],
        }
        for (first, last), kinds in sorted(periods.items())
    ]


def _instance(method: str, metric: str, by_country: Mapping[str, int]) -> dict[str, Any]:
    known = {country: count for country, count in sorted(by_country.items()) if country}
    made: dict[str, Any] = {"access-method": method, "metric-type": metric, "count": sum(by_country.values())}
    return {**made, "country-counts": known} if known else made
