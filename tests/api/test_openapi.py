"""The OpenAPI document: it says what is so. Checked by schemathesis, which asks what it allows, and what it does not."""

import json

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given as holds, settings
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import positive_data_acceptance

from syncd.api.openapi import document, statuses
from syncd.api.rest import DOCUMENT, ROUTES
from tests.api.conftest import NOW, OPERATOR, bearer
from tests.api.threaded_server import served_in_thread
from tests.fakes_control import FakeControl

EXAMPLES = 4  # of each operation
BY_NAME = {  # not every text is a manifest or an origin, and not every month has a 31st: no schema can say which
    name: [positive_data_acceptance]
    for name in (
        "planManifest", "getUsage", "getDatasetReport", "listAudit", "exportAudit", "pauseOrigin", "resumeOrigin",
        "limitOrigin",
    )
}  # fmt: skip
FUZZED = [route for route in ROUTES if route.media != "text/event-stream"]
DOC = json.loads(DOCUMENT)


@pytest.fixture(scope="module")
def server_url():
    async def exposition(accept):
        return b"# nothing\n", "text/plain; version=0.0.4; charset=utf-8"

    with served_in_thread(FakeControl(NOW), metrics=exposition) as found:
        yield found.url


@pytest.mark.parametrize("route", FUZZED, ids=lambda route: route.name)
def test_every_operation_keeps_to_the_document(server_url, route):
    schema = schemathesis.openapi.from_dict(DOC)
    schema.config.update(base_url=server_url)
    operation = schema[route.path][route.method]

    @holds(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def keeps(case):
        case.call_and_validate(headers=bearer(OPERATOR), excluded_checks=BY_NAME.get(route.name, []))

    keeps()


def test_a_document_that_lies_is_found_out():
    lying = json.loads(DOCUMENT)
    lying["components"]["schemas"]["StoreView"]["properties"]["url"] = {"type": "integer"}
    schema = schemathesis.openapi.from_dict(lying)
    with served_in_thread(FakeControl(NOW)) as found:  # a store that no other test has asked for
        schema.config.update(base_url=found.url)
        with pytest.raises(FailureGroup, match="Response violates schema"):
            schema["/api/v1/store"]["GET"].Case().call_and_validate(headers=bearer(OPERATOR))


def test_the_document_is_what_openapi_3_1_asks_for():
    assert DOC["openapi"] == "3.1.0"
    assert {f"{method.upper()} {path}" for path, methods in DOC["paths"].items() for method in methods} == {
        f"{route.method} {route.path}" for route in ROUTES
    }
    known = set(DOC["components"]["schemas"])
    named = set(json.dumps(DOC).split('"#/components/schemas/')[1:])
    assert {one.split('"')[0] for one in named} == known


def test_every_operation_says_what_it_needs_and_how_it_fails():
    for route in ROUTES:
        operation = DOC["paths"][route.path][route.method.lower()]
        assert operation["summary"].endswith(".")
        assert set(operation["responses"]) - {"304", str(route.status)} == {str(one) for one in statuses(route)}
        assert operation.get("x-role") == route.role
        assert ("security" in operation) == (route.role is not None)


async def test_the_document_is_served_as_it_is(api):
    async with api.get("/api/v1/openapi.json") as response:
        assert await response.json() == DOC


def test_the_document_is_made_from_the_table():
    assert json.loads(msgspec.json.encode(document(ROUTES))) == DOC
