"""What tests of readers share: a source with options, documents from memory, what a reader says of them."""

import contextlib
import io
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from manifests.reading.document import (
    Cursor,
    Deleted,
    DerivedFile,
    Document,
    DocumentError,
    DocumentRequest,
    ReaderWarning,
    Selected,
)
from manifests.stat import Promise, Stat


@dataclass(frozen=True)
class Source:
    """What a manifest says, as a reader is opened with it."""

    url: str
    options: Any


def answer(follow, body, *, url=None, base="https://archive.example/", **headers):
    """The document that a request is answered with."""
    found = url or (follow.url if "://" in follow.url else base + follow.url)
    lower = {name.replace("_", "-"): value for name, value in headers.items()}
    return Document(follow, found, lower, io.BytesIO(body if isinstance(body, bytes) else body.encode()))


def unselected(found):
    """What was found, without what the manifest selects by: `test_selectors` has that."""
    return [one for one in found if not isinstance(one, Selected)]


def stats(found):
    return {one.path: one for one in found if isinstance(one, Stat)}


def notes(found):
    return [one.text for one in found if isinstance(one, ReaderWarning)]


def follows(found):
    return [one for one in found if isinstance(one, DocumentRequest)]


def read_all(reader, documents, *, base="https://archive.example/"):
    """Read until no request is left; `documents` maps a url to its body or to (body, headers). Returns what was found."""
    found, waiting, seen = [], list(reader.start()), set()
    while waiting:
        follow = waiting.pop(0)
        if (follow.url, follow.state) in seen:
            continue
        seen.add((follow.url, follow.state))
        body = documents.get(follow.url)
        if body is None:
            if follow.told:
                gone = Document(follow, base + follow.url, {}, io.BytesIO(), missing=True)
                for one in reader.read(gone):
                    (waiting if isinstance(one, DocumentRequest) else found).append(one)
                continue
            if follow.optional:
                continue
            raise AssertionError(f"nobody knows {follow.url}; known are {sorted(documents)}")
        body, headers = body if isinstance(body, tuple) else (body, {})
        for one in reader.read(answer(follow, body, base=base, **headers)):
            (waiting if isinstance(one, DocumentRequest) else found).append(one)
    return found


def survives(reader, follow, body, **headers):
    """Read a document that may be broken in any way; nothing but DocumentError may come of it. Returns what was said."""
    found = []
    with contextlib.suppress(DocumentError):
        for one in reader.read(answer(follow, body, **headers)):
            kinds = Stat | Promise | DocumentRequest | DerivedFile | Deleted | Cursor | ReaderWarning | Selected
            assert isinstance(one, kinds)
            if isinstance(one, DocumentRequest):
                one.url.encode()
                one.state.encode()
            found.append(one)
    return found


def broken(body):
    """Strategy: the document cut, with bytes changed, or with a value put in place of another."""
    body = body if isinstance(body, bytes) else body.encode()
    junk = st.sampled_from(
        [b"", b"null", b"[]", b"{}", b'"x"', b"-1", b"1e400", b"\xff", b"<", b'"\\ud800"', b"\n", b"\t", b"&"]
    )
    places = st.integers(0, len(body))
    return st.tuples(places, places, junk).map(
        lambda cut: body[: cut[0]] + cut[2] + body[max(cut[0], cut[1]) :]
    ) | st.tuples(places, st.integers(0, 12), junk).map(lambda cut: body[: cut[0]] + cut[2] + body[cut[0] + cut[1] :])
