"""Fuzzes what reads other people's documents, guided by coverage: `python -m tests.campaign.fuzzing [--seconds N]`.

An input that runs a pair of lines which none ran before is kept, and later inputs are made from it. What is found wrong
is an exception that a reader may not raise, or a document that takes far longer than its length explains. The first
inputs are in `corpora/` and `tests/fixtures/`; what is kept on the way lies in memory: a seed plays the same inputs
again.
"""

import argparse
import io
import itertools
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from manifests.model import ManifestError, load_mirror
from manifests.reading import Document, DocumentError
from syncd.core import SyncdError
from syncd.session.plugins import open_reader
from transports.ftp.listing import list_line, mlsd
from transports.s3.listing import read_page

CORPORA = Path(__file__).with_name("corpora")
FIXTURES = Path(__file__).parents[1] / "fixtures"  # listings of directories, which the readers' tests read too
ORIGIN = "https://archive.example/"
MOST_BYTES = 64 << 10  # of an input
MOST_FOUND = 50_000  # things that a reader says of one document: more of them is no fault of this search
SLOW = 5.0  # seconds of processor time for one input
SCANNED = ("/manifests/", "/transports/")

READERS = {
    "autoindex": "reader: autoindex",
    "checksums": "reader: checksums, checksums: [SHA256SUMS]",
    "xml": "reader: webdav",
    "json": "collections: [c], reader: stac",
    "table": 'reader: table, tables: [index.tsv], address: file, size: size, checksums: [md5], lists: ";"',
}
TOKENS = {
    "autoindex": (b'<a href="', b"</a>", b"</pre>", b"<td>", b"../", b"%2e%2e/", b"01-Jan-2024 00:00", b"1.5G", b"</html>"),
    "checksums": (b"  ", b" *", b"SHA256 (", b") = ", b"\\", b"\r\n", b"\xef\xbb\xbf", b"d41d8cd98f00b204e9800998ecf8427e"),
    "xml": (b"<D:response>", b"</D:response>", b"<D:href>", b"]]>", b"<![CDATA[", b"<!DOCTYPE x [", b"&#x0;", b"xmlns:D='DAV:'"),
    "json": (b'"features":', b'"assets":', b'"href":', b'"links":', b'"rel":"next"', b"null", b"1e999", b"[[[[", b"\\ud800"),
    "table": (b"\t", b"\n", b'"', b";", b"#", b"file\tsize\tmd5\n", b"http://h/", b"\x1f\x8b\x08", b"\xff\xfe"),
    "ftp": (b"type=file;", b"size=", b"modify=20240101000000;", b"drwxr-xr-x 2 ", b"Jan  1 00:00 ", b"<DIR>", b" -> "),
    "s3": (b"<Contents>", b"</Contents>", b"<Key>", b"<Size>", b"<IsTruncated>true", b"<NextContinuationToken>", b"%00", b"../"),
    "manifest": (b"mirror:", b"source:", b"{url: ", b"!!python/object", b"&a ", b"*a", b"<<: ", b"|\n  ", b"\t", b"1e400"),
}  # fmt: skip


class Finding(msgspec.Struct, frozen=True):
    """An input that something must not do so with."""

    target: str
    what: str
    body: bytes

    def __str__(self) -> str:
        return f"{self.target}: {self.what}: {self.body[:200]!r} ({len(self.body)} bytes)"


def _reader_target(words: str) -> Callable[[bytes], None]:
    mirror = load_mirror(f"mirror: m\nsource: {{url: {ORIGIN}, {words}}}\n", "m.yaml")

    def read(body: bytes) -> None:
        reader = open_reader(mirror.source, date(2026, 1, 1))
        asked = next(iter(reader.start()))
        url = asked.url if "://" in asked.url else ORIGIN + asked.url
        kind = "application/json" if words.endswith("stac") else "text/html"
        document = Document(asked, url, {"content-type": kind}, io.BytesIO(body))
        try:
            for _ in itertools.islice(reader.read(document), MOST_FOUND):
                pass
        except DocumentError:
            return

    return read


def _read_ftp(body: bytes) -> None:
    for line in body.splitlines()[:1000]:
        for parse in (mlsd, list_line):
            try:
                parse(line, "utf-8")
            except ValueError:
                continue


def _read_s3(body: bytes) -> None:
    try:
        read_page(body, "", "bucket")
    except SyncdError:
        return


def _read_manifest(body: bytes) -> None:
    try:
        load_mirror(body.decode(errors="replace"), "m.yaml")
    except ManifestError:
        return


def targets() -> dict[str, Callable[[bytes], None]]:
    """Return what is fuzzed, by name; each takes the bytes of a document and raises nothing."""
    found = {name: _reader_target(words) for name, words in READERS.items()}
    return {**found, "ftp": _read_ftp, "s3": _read_s3, "manifest": _read_manifest}


class Coverage:
    """Which pairs of lines, one after the other, a call ran in the scanned folders."""

    def __init__(self, scanned: tuple[str, ...] = SCANNED) -> None:
        self.known: set[int] = set()
        self._scanned, self._is_scanned = scanned, dict[Any, bool]()
        self._pairs: set[int] = set()
        self._last = 0

    def run(self, call: Callable[[bytes], None], body: bytes) -> bool:
        """Call, and return True if it ran something new."""
        self._pairs, self._last = set(), 0
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            call(body)
        finally:
            sys.settrace(before)
            is_new = not self._pairs <= self.known
            self.known |= self._pairs
        return is_new

    def _enter(self, frame: FrameType, event: str, arg: object):
        code = frame.f_code
        found = self._is_scanned.get(code)
        if found is None:
            found = self._is_scanned[code] = any(part in code.co_filename for part in self._scanned)
        return self._line if found else None

    def _line(self, frame: FrameType, event: str, arg: object):
        if event == "line":
            here = hash((frame.f_code, frame.f_lineno))
            self._pairs.add(here ^ (self._last >> 1))
            self._last = here
        return self._line


def mutated(chance: random.Random, body: bytes, tokens: tuple[bytes, ...], others: list[bytes]) -> bytes:
    """Return `body` changed in one to four places."""
    found = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(found) + 1)
        end = min(len(found), at + chance.choice((1, 2, 8, 64, 512)))
        kind = chance.randrange(7)
        if kind == 0 and found:
            found[min(at, len(found) - 1)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            found[at:at] = chance.choice(tokens) if tokens else chance.randbytes(2)
        elif kind == 2:
            del found[at:end]
        elif kind == 3:
            found[at:at] = bytes(found[at:end]) * chance.choice((1, 2, 30))
        elif kind == 4:
            found[at:end] = chance.randbytes(end - at)
        elif kind == 5:
            other = chance.choice(others)
            start = chance.randrange(len(other) + 1)
            found[at:] = other[start:]
        else:
            found[at:end] = chance.choice(
                (b"0", b"-1", b"99999999999999999999", b"\0", b"\xff", b"\n", b"\xe2\x80\xae")
            )
    return bytes(found[:MOST_BYTES])


def corpus(target: str) -> list[bytes]:
    """Return the first inputs of a target."""
    folder = FIXTURES if target == "autoindex" else CORPORA
    return [file.read_bytes() for file in sorted((folder / target).iterdir())]


def fuzz(
    target: str,
    call: Callable[[bytes], None],
    first: Iterable[bytes],
    *,
    seed: int,
    seconds: float,
    coverage: Coverage | None = None,
    on_input: Callable[[], object] = lambda: None,
) -> Iterator[Finding]:
    """Yield what is found wrong with a target in so many seconds."""
    chance, coverage = random.Random(f"{target} {seed}"), coverage or Coverage()
    kept, tokens = list(first), TOKENS.get(target, ())
    waiting = list(kept)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        body = waiting.pop() if waiting else mutated(chance, chance.choice(kept), tokens, kept)
        on_input()
        began = time.process_time()
        try:
            if coverage.run(call, body):
                kept.append(body)
        except Exception as error:  # noqa: BLE001  any: that is what is looked for
            yield Finding(target, f"{type(error).__name__}: {error}", body)
        if (spent := time.process_time() - began) > SLOW:
            yield Finding(target, f"took {spent:.1f} s", body)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.fuzzing", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="one target")
    given = parser.parse_args()
    chosen = {name: call for name, call in targets().items() if given.only in ("", name)}
    found, tried = set[str](), itertools.count()
    for name, call in chosen.items():
        coverage, count = Coverage(), next(tried)
        share = given.seconds / len(chosen)
        for finding in fuzz(
            name, call, corpus(name), seed=given.seed, seconds=share, coverage=coverage, on_input=lambda: next(tried)
        ):
            if (key := f"{name} {finding.what}") not in found:
                found.add(key)
                print(finding, flush=True)
        print(f"{name}: {next(tried) - count - 1} inputs, {len(coverage.known)} pairs of lines", flush=True)
    print(f"{len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
