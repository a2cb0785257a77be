"""Listings of an S3 server that never come to their end: a survey gives up on them, and says of which bucket."""

import itertools
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from syncd.core.errors import PermanentError
from tests.hostile.archives import Scripted
from tests.hostile.faults import Answer
from transports.s3.transport import open_transport


def page(*keys, token=None, truncated=None):
    """What a server answers that goes on at `token`; a long one, so that its token is seen early."""
    rows = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-11-02T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;abc&quot;</ETag><Size>5</Size></Contents>"
        for key in keys
    )
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token is not None else ""
    truncated = truncated or str(token is not None).lower()
    top = f"<Name>b</Name><IsTruncated>{truncated}</IsTruncated>{more}"
    return Answer(200, [], f"<ListBucketResult>{top}{rows}</ListBucketResult>".encode())


@asynccontextmanager
async def bucket(answers):
    """Yield the transport of `s3://b/data/` whose listings are what `answers` gives for each token (None: the first)."""
    async with Scripted() as server:
        server.script = lambda request: answers(
            parse_qs(urlsplit(request.target).query).get("continuation-token", [None])[0]
        )
        transport = open_transport(
            "s3://b/data/",
            options={"endpoint": server.origin, "region": "us-east-1", "anonymous": True},
            credential=None,
            allow_private=frozenset({server.origin}),
            user_agent="tests",
        )
        try:
            yield server, transport
        finally:
            await transport.aclose()


async def listed(transport):
    """The paths that were listed, and the failure that ended the listing."""
    paths = []

    async def walk():
        async for stat in transport.list("x/"):
            paths.append(stat.path)

    with pytest.raises(PermanentError) as failed:
        await walk()
    return paths, str(failed.value)


@pytest.mark.parametrize("keys", [(), ("data/x/1",)])
async def test_a_listing_that_goes_on_where_it_was_asked_to_begin_is_given_up(keys):
    async with bucket(lambda token: page(*keys, token="same")) as (server, transport):
        paths, why = await listed(transport)
        assert paths == [key.removeprefix("data/") for key in keys]  # those of the first page
        assert why == "s3://b/data/x/: the listing does not advance: the next page begins where this one did, at 'same'"
        assert len(server.requests) <= 3  # the third was asked for early, and is of no interest


async def test_a_listing_of_empty_pages_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr("transports.s3.page_fetch.MAX_EMPTY", 10)
    numbers = itertools.count()
    async with bucket(lambda token: page(token=f"t{next(numbers)}")) as (server, transport):
        assert await listed(transport) == (
            [],
            "s3://b/data/x/: the listing does not advance: 10 pages in a row without a file",
        )
        assert len(server.requests) <= 11


async def test_empty_pages_between_files_are_no_reason_to_give_up(monkeypatch):
    monkeypatch.setattr("transports.s3.page_fetch.MAX_EMPTY", 3)
    pages = {
        None: page(token="1"), "1": page(token="2"), "2": page("data/x/a", token="3"), "3": page(token="4"),
        "4": page(token="5"), "5": page(),
    }  # fmt: skip
    async with bucket(pages.get) as (server, transport):
        assert [stat.path async for stat in transport.list("x/")] == ["x/a"]
        assert len(server.requests) == len(pages)


@pytest.mark.promise("P4")
async def test_a_token_beside_false_is_followed_to_an_empty_page():
    pages = {
        None: page("data/x/a", token="1", truncated="false"), "1": page("data/x/b", token="2", truncated="False"),
        "2": page(token="2", truncated="false"),
    }  # fmt: skip
    async with bucket(pages.get) as (_, transport):
        assert [stat.path async for stat in transport.list("x/")] == ["x/a", "x/b"]


@pytest.mark.promise("P4")
async def test_a_page_that_is_truncated_in_another_spelling_goes_on():
    pages = {None: page("data/x/a", token="1", truncated="True"), "1": page("data/x/b")}
    async with bucket(pages.get) as (_, transport):
        assert [stat.path async for stat in transport.list("x/")] == ["x/a", "x/b"]


# Servers that know the first version of listings only


KEYS = [f"data/x/{name}" for name in ("a b", "c", "d", "e&f", "g")]


def of_version_1(query, most=2, *, says_next):
    """A page of ListObjects: it goes on behind `marker`, and may say where."""
    keys = [key for key in KEYS if key > query.get("marker", [""])[0]]
    body = page(*(quote(key, safe="") for key in keys[:most]), truncated=str(len(keys) > most).lower()).body
    more = f"<NextMarker>{quote(keys[most - 1], safe='')}</NextMarker>" if says_next and len(keys) > most else ""
    top = f"<Marker></Marker><EncodingType>url</EncodingType>{more}"
    return Answer(200, [], body.replace(b"<Name>", f"{top}<Name>".encode()))


@asynccontextmanager
async def old_bucket(answers):
    async with bucket(lambda token: None) as (server, transport):
        server.script = lambda request: answers(parse_qs(urlsplit(request.target).query, keep_blank_values=True))
        yield server, transport


@pytest.mark.promise("P4")
@pytest.mark.parametrize("says_next", [True, False])
@pytest.mark.parametrize("status", [400, 405, 501, 200])
async def test_a_server_that_knows_only_the_first_version_of_listings_is_asked_for_it(status, says_next):
    def answers(query):
        if "list-type" in query and status != 200:
            return Answer(status, [], b"<Error><Code>NotImplemented</Code></Error>")
        return of_version_1(query, says_next=says_next)

    async with old_bucket(answers) as (server, transport):
        for _ in range(2):
            assert [f"data/{stat.path}" async for stat in transport.list("x/")] == KEYS
        assert sum("list-type" in request.target for request in server.requests) == 1  # remembered
        behind = [stat.path async for page in transport.list_pages("x/", after="x/c") for stat in page]
        assert behind == ["x/d", "x/e&f", "x/g"]


async def test_a_server_that_refuses_both_versions_is_reported_by_its_first_refusal():
    async with old_bucket(lambda query: Answer(501 if "list-type" in query else 400, [], b"")) as (_, transport):
        assert "S3 answers 501" in (await listed(transport))[1]


async def test_a_listing_of_the_first_version_that_does_not_advance_is_given_up():
    async with old_bucket(lambda query: page("data/x/a", truncated="true")) as (server, transport):
        assert "does not advance" in (await listed(transport))[1]
        assert len(server.requests) <= 3
