"""The survey: questions with a body, answers that break, documents without end, and a kill in the middle of it."""

import asyncio
import errno
import json
import os
import signal
import subprocess
import tempfile
import threading
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from manifests.model.mirror import load_mirror
from manifests.reading.document import CountNotReached, Cursor, DocumentError, DocumentRequest, Gap, ReaderWarning
from manifests.stat import Promise, Stat
from syncd.catalogue import Catalogue
from syncd.core.errors import NoSpace, Unsupported
from syncd.core.events import SurveyNoted
from syncd.engine.selection import SourceSelection
from syncd.engine.survey import Survey
from syncd.process.event_loop import first_of
from syncd.streams.derived_files import Spool
from syncd.wrappers.governed_transport import GovernedTransport
from syncd.wrappers.governors import Governors
from syncd.wrappers.retry_policy import Policy
from syncd.wrappers.retrying_transport import Retrying
from tests.acceptance.cli import Folder, run, start
from tests.fakes import Archive
from tests.servers.web import serving
from transports.http.transport import HttpTransport


class Scripted:
    """A Reader that finds what a function says of a document."""

    native = False

    def __init__(self, first, find):
        self.first, self.find = first, find

    def start(self):
        return self.first

    def read(self, document):
        return iter(self.find(document))


@asynccontextmanager
async def surveying(tmp_path, transport, listener=lambda event: None, key="", now=lambda: 1000.0):
    (tmp_path / "spool").mkdir(exist_ok=True)
    with Catalogue(tmp_path / "state") as catalogue:
        row = catalogue.history.ensure_mirror("m", prefix="m/", title="", source="")
        catalogue.history.ensure_mirror("other", prefix="other/")
        yield Survey(
            mirror="m",
            mirror_id=row.id,
            transport=transport,
            claims=catalogue.claims,
            frontier=catalogue.frontier,
            links=catalogue.links,
            selection=SourceSelection(
                load_mirror("mirror: m\nsource: {url: 'https://h/'}\n", "m.yaml").source, Scripted((), iter)
            ),
            listener=listener,
            spool=tmp_path / "spool",
            made=Spool(tmp_path / "spool" / "m.made"),
            key=key,
            now=now,
        )


@asynccontextmanager
async def over_http(root, **more):
    adapter = HttpTransport(f"{root}/", user_agent="test", allow_private=frozenset({str(root), *more.get("also", ())}))
    transport = Retrying(GovernedTransport(adapter, Governors(), f"{root}/"), Policy(first=0.001))
    try:
        yield transport
    finally:
        await transport.aclose()


def echoing(base):
    """Answers a POST with what was sent; the first answer to `broken` ends before its end."""
    application = web.Application()
    tries = []

    async def echo(request):
        said = {
            "body": (await request.read()).decode(),
            "key": request.headers.get("x-page", ""),
            "accept": request.headers.getall("accept"),
        }
        return web.json_response(said, headers={"X-Next": "7"})

    async def broken(request):
        tries.append(1)
        response = web.StreamResponse(headers={"Content-Length": "31"})
        await response.prepare(request)
        await response.write(b'{"pages": ' if len(tries) == 1 else b'{"pages": "whole, in order"   }')
        if len(tries) == 1:
            request.transport.close()
        return response

    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    application.router.add_post("/search", echo)
    application.router.add_get("/search", echo)
    application.router.add_post("/broken", broken)
    application.router.add_get("/endless", endless)
    return application


def said(seen):
    def find(document):
        body = document.read(1 << 20)
        seen.append((document.headers.get("x-next"), json.loads(body)))
        return []

    return find


async def test_a_question_takes_its_body_and_its_headers_along_and_the_answers_headers_come_back(tmp_path):
    seen = []
    with serving(echoing) as site:
        asked = DocumentRequest(
            f"{site}/search",
            "POST",
            {"X-Page": "3", "Content-Type": "application/json", "Accept": "a/b"},
            b'{"limit": 2}',
        )
        async with over_http(site) as transport, surveying(tmp_path, transport) as survey:
            inventory = await survey.read(Scripted([asked], said(seen)))
    assert inventory.complete
    assert seen == [("7", {"body": '{"limit": 2}', "key": "3", "accept": ["a/b"]})]


async def test_an_answer_that_breaks_off_is_asked_for_again_from_its_beginning(tmp_path):
    seen = []
    with serving(echoing) as site:
        asked = DocumentRequest(f"{site}/broken", "POST", {}, b"{}")
        async with over_http(site) as transport, surveying(tmp_path, transport) as survey:
            inventory = await survey.read(Scripted([asked], said(seen)))
    assert inventory.complete, inventory.failed
    assert seen == [(None, {"pages": "whole, in order"})]


@pytest.mark.promise("P9")
@pytest.mark.fault(6, 17)
async def test_a_document_without_end_is_given_up_at_its_bound(tmp_path):
    with serving(echoing) as site:
        first = [
            DocumentRequest(f"{site}/endless", headers={"Accept": "a/b"}, max_bytes=1 << 20),
            DocumentRequest(f"{site}/search", headers={"Accept": "a/b"}),
        ]
        async with over_http(site) as transport, surveying(tmp_path, transport) as survey:
            inventory = await survey.read(Scripted(first, lambda document: [Stat("a", 1)]))
    assert [(url, "longer than the 1048576 bytes" in reason) for url, reason in inventory.failed] == [
        (f"{site}/endless", True)
    ]
    assert inventory.files == 1


async def test_a_strangers_page_cannot_make_us_send_a_body_or_a_header_elsewhere(tmp_path):
    with serving(echoing) as site, serving(echoing) as other:

        def find(document):
            if document.asked.state:
                return said(seen)(document)
            return [
                DocumentRequest(f"{other}/search", "POST", {}, b"{}", state="post"),
                DocumentRequest(f"{other}/search", headers={"X-Page": "secret", "Accept": "a/b"}, state="get"),
            ]

        seen = []
        async with over_http(site, also=[str(other)]) as transport, surveying(tmp_path, transport) as survey:
            inventory = await survey.read(Scripted([DocumentRequest(f"{site}/search", headers={"X-Page": "1"})], find))
        assert [reason for _, reason in inventory.failed] == [
            f"{site}/search requests a POST, but this is another origin"
        ]
        assert seen == [("7", {"body": "", "key": "", "accept": ["a/b"]})]
        assert other.asked == [("GET", "/search")]


async def test_a_transport_without_questions_reads_plain_ones_and_refuses_the_others(tmp_path):
    archive = Archive({"a.json": b"{}"})
    async with surveying(tmp_path, archive) as survey:
        inventory = await survey.read(
            Scripted([DocumentRequest("a.json", headers={"Accept": "x"})], lambda document: [Stat("f")])
        )
        assert (inventory.complete, inventory.files) == (True, 1)
        with pytest.raises(Unsupported, match="this transport does not support POST requests"):
            await survey.read(Scripted([DocumentRequest("a.json", "POST")], lambda document: []))


async def test_what_stood_before_a_mistake_is_kept_and_followed(tmp_path):
    archive = Archive({"1": b"", "2": b""})

    def find(document):
        if document.asked.url == "2":
            yield Stat("b")
            return
        yield Stat("a")
        yield Promise("a", {"md5": "0" * 32}, "1")
        yield DocumentRequest("2")
        yield ReaderWarning("a digest that is none")
        yield ReaderWarning("a digest that is none")
        raise DocumentError("1: row 3 is no row")

    heard = []
    async with surveying(tmp_path, archive, heard.append) as survey:
        inventory = await survey.read(Scripted([DocumentRequest("1")], find))
        assert [stat.path for stat in survey.claims.all(survey.mirror_id)] == ["a", "b"]
    assert inventory.failed == [("1", "row 3 is no row")]
    assert [event for event in heard if isinstance(event, SurveyNoted)] == [
        SurveyNoted("m", "a digest that is none", 2)
    ]


@pytest.mark.promise("P5")
async def test_a_list_that_names_files_and_is_cut_is_incomplete_and_one_that_names_none_is_no_source(tmp_path):
    def find(document):
        if document.asked.url == "cut":
            yield Stat("a")
        if document.asked.url == "short":
            raise CountNotReached(f"{document.url}: 60 files were announced, and the list ends after 0")
        raise DocumentError(f"{document.url}: a web page came where a list was expected")

    async with surveying(tmp_path, Archive({"cut": b"", "short": b"", "page": b""})) as survey:
        inventory = await survey.read(Scripted([DocumentRequest("cut")], find))
        assert (inventory.complete, [stat.path for stat in survey.claims.all(survey.mirror_id)]) == (False, ["a"])
        inventory = await survey.read(Scripted([DocumentRequest("short")], find))
        assert (inventory.complete, inventory.files) == (False, 0)
        with pytest.raises(Unsupported, match="a web page came"):
            await survey.read(Scripted([DocumentRequest("page")], find))


async def test_what_waits_is_on_disk_and_no_document_is_asked_for_twice(tmp_path):
    count = 2000
    archive = Archive({"index": b"", **{f"d{n}": b"" for n in range(count)}})

    def find(document):
        if document.asked.url == "index":
            return [DocumentRequest(f"d{n % count}") for n in range(2 * count)]
        return [Stat(document.asked.url, 0)]

    async with surveying(tmp_path, archive) as survey:
        inventory = await survey.read(Scripted([DocumentRequest("index")], find))
    assert (inventory.documents, inventory.files, inventory.complete) == (count + 1, count, True)
    assert len(archive.asked) == count + 1


async def test_a_reader_that_has_nothing_to_ask_finds_nothing(tmp_path):
    async with surveying(tmp_path, Archive({})) as survey:
        inventory = await survey.read(Scripted([], lambda document: []))
    assert (inventory.documents, inventory.files, inventory.complete) == (0, 0, True)


@pytest.mark.promise("P9")
@pytest.mark.fault(18)
async def test_documents_that_name_documents_for_ever_and_hardly_a_file_are_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("syncd.engine.survey_run.BARREN", 300)

    def calendar(document):
        day = int(document.asked.url.removeprefix("day/"))
        yield Stat(f"f{day}") if day < 2 else ReaderWarning("nothing that day")
        for n in (1, 2):
            yield DocumentRequest(f"day/{2 * day + n}")

    archive = Archive(dict.fromkeys((f"day/{n}" for n in range(10_000)), b""))
    async with surveying(tmp_path, archive) as survey:
        inventory = await survey.read(Scripted([DocumentRequest("day/0")], calendar))
    assert not inventory.complete
    assert inventory.files == 2
    assert 300 <= inventory.documents < 400
    ((_, reason),) = inventory.failed
    assert "documents were read and name 2 files: is the listing endless?" in reason


async def test_a_survey_is_gone_on_with_only_by_the_same_question_and_within_the_hour(tmp_path):
    archive = Archive({"1": b"", "2": b"", "3": b""})

    async def read(*, fails=(), key="k", at=1000.0, first="1"):
        archive.asked.clear()

        def find(document):
            number = int(document.asked.url)
            if number in fails:
                raise RuntimeError("killed")
            return [Stat(f"f{number}", 1), *([DocumentRequest(str(number + 1))] if number < 3 else [])]

        async with surveying(tmp_path, archive, key=key, now=lambda: at) as survey:
            try:
                inventory = await survey.read(Scripted([DocumentRequest(first)], find))
            except ExceptionGroup:
                return [path for path, _, _ in archive.asked], []
            assert inventory.complete
            paths = [stat.path for stat in survey.claims.all(survey.mirror_id)]
            assert len(paths) == inventory.files
            survey.end()
            return [path for path, _, _ in archive.asked], paths

    whole = ["f1", "f2", "f3"]
    assert await read(fails={3}) == (["1", "2", "3"], [])
    assert await read() == (["3"], whole)
    assert await read() == (["1", "2", "3"], whole)
    await read(fails={3})
    assert await read(key="another source") == (["1", "2", "3"], whole)
    await read(fails={3})
    assert await read(at=4601.0) == (["1", "2", "3"], whole)
    await read(fails={3})
    assert await read(first="2") == (["2", "3"], whole[1:])
    await read(fails={3})
    async with surveying(tmp_path, archive) as survey:
        survey.claims.forget(survey.mirror_id)  # as a listing does, or whoever else needs the room
    assert await read() == (["1", "2", "3"], whole), "what was read counts only as long as what it said is there"
    await read(fails={3}, key="")
    assert await read(key="") == (["1", "2", "3"], whole)


class Behind(Scripted):
    """A Reader whose mark is too old to go on from."""

    def resume(self, mark):
        raise Gap("m: what changed before yesterday is not told")


async def test_a_mark_that_is_too_old_to_ask_from_makes_the_survey_a_whole_one(tmp_path):
    archive = Archive({"1": b""})
    async with surveying(tmp_path, archive) as survey:
        inventory = await survey.read_changes(
            Behind([DocumentRequest("1")], lambda document: [Stat("a"), Cursor("5")]), "3"
        )
        assert (inventory.complete, inventory.is_part, inventory.files, inventory.mark) == (True, False, 1, "")
        assert [stat.path for stat in survey.claims.all(survey.mirror_id)] == ["a"]


def folders(go):
    """An index of 40 folders with two files each; the last folders are not answered until `go` is set."""
    application = web.Application()

    def page(*names):
        links = "".join(f'<a href="{name}">{name}</a> 2024-05-01 10:00 3\n' for name in names)
        return web.Response(text=f"<html><title>Index of /</title><pre>{links}</pre></html>", content_type="text/html")

    async def top(request):
        return page(*(f"d{n:02}/" for n in range(40)))

    async def folder(request):
        if int(request.match_info["n"]) >= 20 and not go.is_set():
            await asyncio.sleep(30)
        return page("a.dat", "b.dat")

    async def file(request):
        return web.Response(body=b"abc", headers={"Last-Modified": "Wed, 01 May 2024 10:00:00 GMT"})

    application.router.add_get("/", top)
    application.router.add_get(r"/d{n:\d\d}/", folder)
    application.router.add_get(r"/d{n:\d\d}/{name}.dat", file)
    return application


def test_a_survey_that_is_killed_does_not_ask_again_for_what_it_read(tmp_path):
    store, state, manifest = Folder(tmp_path / "store"), tmp_path / "state", tmp_path / "m.yaml"
    go = threading.Event()
    with serving(lambda base: folders(go)) as site:
        manifest.write_text(f"mirror: folders\nsource: {{url: '{site}/', reader: autoindex}}\n")
        words = ("sync", manifest, "--json", "--allow-private", site.url)
        process = start(store, state, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        read = 0
        while read < 21 and process.poll() is None:
            read = _read_so_far(state)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        before = [path for _, path in site.asked]
        assert "/d00/" in before
        go.set()
        site.asked.clear()
        run(store, state, *words)
        assert store.paths("folders/") == {f"d{n:02}/{name}.dat" for n in range(40) for name in "ab"}
        again = [path for _, path in site.asked if path.endswith("/")]
        assert again
        assert set(again) <= {f"/d{n:02}/" for n in range(20, 40)}, "what was read is not asked for again"


def _read_so_far(state):
    import time

    import apsw

    time.sleep(0.02)
    try:
        (file,) = (state / "mirrors").glob("*.sqlite")
        with apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY) as db:
            db.set_busy_timeout(1000)
            return next(iter(db.execute("SELECT count(*) FROM question WHERE asked IS NULL")))[0]
    except (apsw.Error, ValueError):  # not yet
        return 0


async def test_a_full_disk_of_ours_is_no_mistake_of_a_document(tmp_path, monkeypatch):
    def full(spool, chunk):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    archive = Archive({"a": b"x"})
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "write", full)
    async with surveying(tmp_path, archive) as survey:
        with pytest.raises(ExceptionGroup) as caught:
            await survey.read(Scripted([DocumentRequest("a")], lambda document: []))
    assert isinstance(first_of(caught.value), NoSpace)
    assert "a: the response cannot be stored in the state folder: No space left" in str(first_of(caught.value))


async def test_a_document_of_some_milliseconds_is_read_in_a_thread_and_a_small_one_where_it_arrives(tmp_path):
    readers = {}

    def find(document):
        readers[document.asked.url] = threading.current_thread()
        yield Stat(f"{document.asked.url}.nc", 1, 1.0)

    archive = Archive({"small": b"x", "listing": b"x" * 20_000})
    async with surveying(tmp_path, archive) as survey:
        await survey.read(Scripted([DocumentRequest("small"), DocumentRequest("listing")], find))
    assert readers["small"] is threading.current_thread()
    assert readers["listing"] is not threading.current_thread()


async def test_the_claims_of_the_survey_before_are_deleted_a_page_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("syncd.catalogue.claims.PAGE", 10)
    async with surveying(tmp_path, Archive({"list": b"x"})) as survey:
        claims = survey.claims
        claims.add(survey.mirror_id, [Stat(f"f{n:03}", 1, 1.0) for n in range(95)])
        claims.add(survey.mirror_id + 1, [Stat("of another mirror", 1, 1.0)])
        left = [claims.claimed(survey.mirror_id) for _ in claims.forgetting(survey.mirror_id)]
        assert left[:10] == [85, 75, 65, 55, 45, 35, 25, 15, 5, 0]
        assert claims.claimed(survey.mirror_id + 1) == 1


async def test_a_survey_that_was_killed_while_old_claims_were_deleted_is_not_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr("syncd.catalogue.claims.PAGE", 10)
    first = [DocumentRequest("list")]
    async with surveying(tmp_path, Archive({"list": b"x"}), key="k") as survey:
        await survey.read(Scripted(first, lambda _: [Stat(f"f{n:03}", 1, 1.0) for n in range(35)]))
        again = asyncio.ensure_future(survey._forget())
        await asyncio.sleep(0)  # as far as a kill may come
        assert 0 < survey.claims.claimed(survey.mirror_id) < 35
        assert survey.frontier.progress(survey.mirror_id) == (0, 0)
        await again
