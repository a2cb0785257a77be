"""A hostile upstream meets a whole pass: one bad file costs itself, the others arrive, and nothing unproved is seen."""

import hashlib
import random
from collections.abc import Callable
from datetime import date

import pytest

from manifests.model.mirror import load_mirror
from manifests.readers import autoindex, checksums, resourcesync, stac
from manifests.reading.document import Reader
from syncd.cli.progress.plain import line_of
from syncd.core.text import printable
from syncd.engine.pass_context import PassContext
from syncd.wrappers.governed_transport import GovernedTransport
from syncd.wrappers.governors import Governors
from syncd.wrappers.retry_policy import Policy
from syncd.wrappers.retrying_transport import Retrying
from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive
from tests.hostile import faults as f
from tests.hostile.server import HostileServer
from transports.http.transport import HttpTransport

LOGIN = b"<!DOCTYPE html>\n<html><head><title>Earthdata Login</title></head><body>Please log in</body></html>"
BAD = "d/bad.dat"
READERS: dict[str, Callable[..., Reader]] = {
    "checksums": checksums.open_reader,
    "autoindex": autoindex.open_reader,
    "resourcesync": resourcesync.open_reader,
    "stac": lambda source: stac.open_reader(source, date(2026, 1, 1)),
}


def tree():
    chance = random.Random(21)
    return {"d/a.dat": chance.randbytes(3000), BAD: chance.randbytes(40_000), "e/large.tif": chance.randbytes(11 << 20)}


def sums(files):
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in files.items()).encode()


class HttpMirroring(Mirroring):
    """A mirror of a hostile server."""

    def __init__(self, folder, server, *, reader):
        super().__init__(folder, Archive())
        self.server = server
        lists = {
            "checksums": ", checksums: [SHA256SUMS]",
            "resourcesync": ", start: sitemap.xml",
            "stac": ", collections: [c]",
        }.get(reader, "")
        self.mirror = load_mirror(
            f"mirror: scenes\nsource: {{url: '{server.url()}', reader: {reader}{lists}}}\nguard: {{max_removed: 90%}}\n",
            "scenes.yaml",
        )

    def work(self, store, catalogue, stopping=None):
        http = HttpTransport(
            self.server.url(),
            user_agent="syncd-tests",
            allow_private=frozenset({self.server.origin}),
            connect_timeout=20.0,
            header_timeout=3.0,
            floor=(1000.0, 1.5),
        )
        self.transports = [*getattr(self, "transports", ()), http]
        governed = GovernedTransport(http, Governors(), self.server.url())
        polite = super().work(store, catalogue, stopping)
        return PassContext(
            mirror=self.mirror,
            reader=READERS[self.mirror.source.reader](self.mirror.source),
            source=Retrying(governed, Policy(attempts=4, first=0.001, most=0.002)),
            store=polite.store,
            catalogue=catalogue,
            hashing=self.hashing,
            spool=polite.spool,
            listener=self.events.append,
            now=polite.now,
            stopping=polite.stopping,
        )

    async def close(self):
        for transport in self.transports:
            await transport.aclose()
        self.transports = []

    async def reasons(self):
        async with self.open() as (_, catalogue):
            return {failure.path: failure for failure in catalogue.failures.files(1)}


PASSING = {
    "a body cut short": f.Truncate(after=1000),
    "a chunked body cut short": f.Chunked(cut=3),
    "an invalid chunk": f.Chunked(cut=3, bad=b"ZZ\r\n"),
    "bytes behind the body": f.Extra(b"HTTP/1.1 200 OK\r\n\r\nmore"),
    "a reset before the answer": f.Reset(),
    "a reset in the body": f.Reset(after=5000),
    "silence before the answer": f.Hang(),
    "silence in the body": f.Hang(after=5000),
    "a close without an answer": f.CloseUnanswered(),
    "patience asked for": f.Status(503, {"Retry-After": "0"}),
    "too many requests": f.Status(429),
    "a server's failure": f.Status(500),
    "a close-delimited body cut short": f.NoLength(after=1000),
    "two lengths": f.Header("Content-Length", "7"),
    "header lines without end": f.Header("X-Bomb", "x" * 8000, times=200),
    "not HTTP at all": f.Raw(b"220 ftp.example.org ready\r\n"),
}


@pytest.mark.promise("P1")
@pytest.mark.fault(1, 2, 3, 4, 5, 8, 9, 24)
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
@pytest.mark.parametrize("path", [BAD, "e/large.tif"])
async def test_what_passes_costs_time_and_nothing_else(tmp_path, fault, path):
    files = tree()
    async with HostileServer({**files, "SHA256SUMS": sums(files)}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="checksums")
        server.fault(path, fault)
        result = await mirroring.run()
        server.assert_spent()
        if not result.complete:  # what upstream's broken HTTP made unbelievable is had at the next pass
            assert set(await mirroring.reasons()) == {path}
            assert (await mirroring.run()).complete
        await mirroring.close()
    assert {p: c for p, c in mirroring.natural().items() if p != "SHA256SUMS"} == files


@pytest.mark.promise("P1")
@pytest.mark.fault(2)
@pytest.mark.parametrize("path", [BAD, "e/large.tif"])
async def test_a_body_without_length_that_is_cut_is_not_taken_for_the_file_where_only_a_size_is_promised(
    tmp_path, path
):
    files = tree()
    async with HostileServer(files) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="autoindex")
        cut = f.NoLength(after=-1)  # all but the last byte
        server.fault(path, cut, times=None, when=lambda request: request.method == "GET")
        result = await mirroring.run()
        server.assert_spent()
        reasons = await mirroring.reasons()
        await mirroring.close()
    assert (result.failed, result.complete, set(reasons)) == (1, False, {path})
    assert mirroring.natural() == {other: content for other, content in files.items() if other != path}


@pytest.mark.promise("P6")
@pytest.mark.fault(26)
async def test_a_file_that_is_listed_and_cannot_be_had_leaves_the_copy_that_we_hold(tmp_path):
    files = tree()
    async with HostileServer({**files, "SHA256SUMS": sums(files)}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="checksums")
        await mirroring.run()
        later = {**files, BAD: b"the next version"}
        server.put(BAD, later[BAD])
        server.put("SHA256SUMS", sums(later))
        is_gone = True
        server.fault(BAD, f.Status(404), times=None, when=lambda request: is_gone)
        result = await mirroring.run()
        server.assert_spent()
        assert (result.failed, result.removed, result.complete) == (1, 0, False)
        assert "no such file" in (await mirroring.reasons())[BAD].reason
        assert mirroring.natural()[BAD] == files[BAD]
        is_gone = False
        assert (await mirroring.run()).complete
        assert mirroring.natural()[BAD] == later[BAD]
        await mirroring.close()


LASTING = {
    "gone": (f.Status(404), "no such file"),
    "forbidden": (f.Status(403), "403"),
    "compressed although asked not to": (
        f.Rewrite({"Content-Encoding": "br"}, body=b"x" * 999),
        "Content-Encoding: br",
    ),
    "a login page instead of data": (
        f.Rewrite({"Content-Type": "text/html", "Content-Range": None}, status=200, body=LOGIN),
        "Earthdata Login",
    ),
    "another file's bytes": (f.Rewrite(body=b"x" * 40_000), "sha256"),
    "a redirect to another scheme": (f.Rewrite({"Location": "file:///etc/passwd"}, status=302), "redirect"),
    "a redirect to itself": (f.Rewrite({"Location": "/d/bad.dat"}, status=302), "redirect"),
    "a body without end": (f.Endless(), "bad.dat"),
}


@pytest.mark.promise("P1")
@pytest.mark.fault(6, 14, 21, 26, 27, 34)
@pytest.mark.parametrize(("fault", "word"), LASTING.values(), ids=LASTING.keys())
async def test_one_bad_file_is_told_in_a_stewards_words_and_stops_no_other(tmp_path, fault, word):
    files = tree()
    async with HostileServer({**files, "SHA256SUMS": sums(files)}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="checksums")
        server.fault(BAD, fault, times=None)
        result = await mirroring.run()
        server.assert_spent()
        reasons = await mirroring.reasons()
        await mirroring.close()
    assert (result.failed, result.fetched, result.complete) == (1, 3, False)
    assert set(reasons) == {BAD}
    assert word.lower() in reasons[BAD].reason.lower()
    assert BAD not in mirroring.natural()


@pytest.mark.promise("P1")
@pytest.mark.fault(27)
async def test_a_login_page_where_no_digest_is_published_is_quarantined_with_its_title(tmp_path):
    async with HostileServer(tree()) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="autoindex")
        page = LOGIN + b" " * (40_000 - len(LOGIN))  # even of the very length that was promised
        server.fault(BAD, f.Rewrite({"Content-Type": "text/html; charset=utf-8"}, body=page), times=None)
        await mirroring.run()
        failure = (await mirroring.reasons())[BAD]
        await mirroring.close()
    assert "'Earthdata Login'" in failure.reason
    assert "is a login or a licence agreement needed?" in failure.reason
    assert (mirroring.store_folder / failure.quarantined).read_bytes() == page
    assert BAD not in mirroring.natural()


@pytest.mark.promise("P5")
@pytest.mark.fault(30)
async def test_an_index_that_fails_or_lists_half_removes_nothing(tmp_path):
    async with HostileServer(tree()) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="autoindex")
        assert (await mirroring.run()).fetched == 3
        server.fault("e/", f.Status(500), times=None)
        broken = await mirroring.run()
        await mirroring.close()
    assert (broken.removed, broken.complete) == (0, False)
    assert set(mirroring.natural()) == set(tree())


@pytest.fixture
def in_ranges(monkeypatch):
    """Have large files come in ranges, however fast this machine is."""
    monkeypatch.setattr("syncd.engine.ranged_download.QUICK", 0)


@pytest.mark.promise("P6")
@pytest.mark.fault(12)
@pytest.mark.usefixtures("in_ranges")
@pytest.mark.parametrize("seed", range(4))
async def test_a_file_that_is_swapped_between_two_ranges_is_never_spliced(tmp_path, seed):
    old, new = random.Random(seed).randbytes(12 << 20), random.Random(-seed - 1).randbytes((12 << 20) + 1)
    async with HostileServer({"large": old}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="autoindex")
        ranges = 0

        def third(request):
            nonlocal ranges
            ranges += 1
            if ranges == 2 + seed:
                server.put("large", new)
            return False

        server.fault("large", f.Reset(), times=None, when=third)
        await mirroring.run()
        assert ranges >= 2 + seed, "the swap was never reached"
        assert mirroring.natural().get("large", new) in (old, new)
        await mirroring.run()
        await mirroring.close()
    assert mirroring.natural() == {"large": new}


@pytest.mark.fault(10)
async def test_a_server_that_ignores_ranges_is_read_in_one_stream(tmp_path):
    files = tree()
    async with HostileServer({**files, "SHA256SUMS": sums(files)}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="checksums")
        server.fault(None, f.IgnoreRange(), times=None)
        result = await mirroring.run()
        await mirroring.close()
    assert (result.failed, result.fetched) == (0, 4)


@pytest.mark.fault(48)
async def test_names_that_would_command_a_terminal_reach_no_display(tmp_path):
    files = {"ok": b"1"}
    listing = sums({"ok": b"1"}) + b"0" * 64 + b"  evil\x1b[2Jname\n"
    async with HostileServer({**files, "SHA256SUMS": listing}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="checksums")
        result = await mirroring.run()
        await mirroring.close()
    assert (result.fetched, result.failed) == (2, 1)
    said = [printable(line) for event in mirroring.events if (line := line_of(event))]
    assert any("evil" in line for line in said)
    assert not any("\x1b" in line for line in said)


@pytest.mark.usefixtures("in_ranges")
@pytest.mark.parametrize("cap", [4, 20])
async def test_a_server_that_resets_connections_above_its_cap_loses_no_file(tmp_path, cap):
    files = {f"d/{n:03}": b"%d" % n * 50 for n in range(150)}
    async with HostileServer({**files, "SHA256SUMS": sums(files)}, cap=cap) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="checksums")
        for _ in range(4):
            result = await mirroring.run()
            await mirroring.close()  # idle connections count against the cap
            if result.complete:
                break
    assert {p: c for p, c in mirroring.natural().items() if p != "SHA256SUMS"} == files


@pytest.mark.fault(7)
async def test_rule_6_slow_is_fine_and_stalled_is_cut_whatever_time_it_takes(tmp_path):
    files = tree()
    async with HostileServer({**files, "SHA256SUMS": sums(files)}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="checksums")
        server.fault("d/a.dat", f.Drip(step=100, every=0.04), times=None)  # 1.2 s, twice the window of the floor
        server.fault(BAD, f.Drip(step=1, every=0.04), times=None)  # 25 bytes a second
        result = await mirroring.run()
        server.assert_spent()
        reasons = await mirroring.reasons()
        await mirroring.close()
    assert (result.fetched, set(reasons)) == (3, {BAD})
    assert "stalled" in reasons[BAD].reason
    assert mirroring.natural()["d/a.dat"] == files["d/a.dat"]


@pytest.mark.fault(25)
async def test_a_login_that_ends_in_the_middle_of_a_pass_is_told_and_upstream_is_not_hammered(tmp_path):
    files = {f"d/{n:02}": b"%d" % n * 100 for n in range(40)}
    async with HostileServer({**files, "SHA256SUMS": sums(files)}) as server:
        mirroring = HttpMirroring(tmp_path, server, reader="checksums")
        answered = 0

        def expired(request):
            nonlocal answered
            answered += 1
            return answered > 20

        server.fault(None, f.Status(401, {"WWW-Authenticate": "Basic"}), times=None, when=expired)
        result = await mirroring.run()
        reasons = await mirroring.reasons()
        asked = len(server.requests)
        await mirroring.close()
    assert result.failed == len(reasons) > 0
    assert result.fetched + result.failed == 41
    assert all("401" in failure.reason for failure in reasons.values())
    assert asked <= 1 + 41, "a denied file was asked for again"
