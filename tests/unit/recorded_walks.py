"""Records what a reader asks of an upstream, and reads it again with one document cut."""

import hashlib
import http.client
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urljoin, urlsplit

from manifests.model import load_mirror
from manifests.reading import (
    Deleted,
    DerivedFile,
    Document,
    DocumentError,
    DocumentRequest,
    ReaderKind,
    Resumable,
    built_in,
)
from manifests.stat import Promise, Stat
from tests.miniatures.miniature import served

TODAY = datetime(2026, 11, 30, tzinfo=UTC).date()
PLACES = 50  # at which each document is cut


@dataclass(frozen=True)
class Answer:
    """One recorded document; `body` is None if there is none."""

    url: str
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Question:
    """A request without its state, which differs with what came before."""

    url: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass
class Walk:
    """All documents of one survey, by their questions, in the order in which they were asked for."""

    kind: ReaderKind
    source: object
    answers: dict[Question, Answer]
    asked: dict[Question, DocumentRequest]
    mark: str = ""

    def reader(self):
        return self.kind.opened(self.source, TODAY)  # type: ignore[arg-type]  # a source of a manifest

    def first(self, reader):
        if self.mark and isinstance(reader, Resumable):
            return list(reader.resume(self.mark))
        return list(reader.start())

    def found(self, answers=None):
        """Return the files that the documents name; raises DocumentError if the list is incomplete.

        A document that is also a file of the mirror says its own size and digest: these are of the bytes that came, and
        are compared when the file is transferred.
        """
        found, reader = set(), self.reader()
        waiting, seen = self.first(reader), set()
        while waiting:
            request = waiting.pop(0)
            if repr(request) in seen:
                continue
            seen.add(repr(request))
            answer = (answers or self.answers).get(_question(self.source, request))
            if answer is None:
                raise DocumentError(f"{request.url}: was not asked for before")
            for one in _read(reader, request, answer):
                if isinstance(one, DocumentRequest):
                    waiting.append(one)
                elif isinstance(one, Stat) and one.version == _version(answer.body):
                    found.add(one.path)
                elif isinstance(one, Stat | Promise | DerivedFile | Deleted):
                    found.add(repr(one))
        return found

    def cuts(self):
        """Yield each cut that the reader does not notice, although other files come of it: its document, its place."""
        whole = self.found()
        for question, answer in self.answers.items():
            if not answer.body or question.method == "LIST":  # that listing is the transport's own, and no document
                continue
            for place in sorted({len(answer.body) * cut // PLACES for cut in range(PLACES)}):
                cut = Answer(answer.url, answer.body[:place], answer.headers)
                try:
                    list(_read(self.reader(), self.asked[question], cut))
                    found = self.found({**self.answers, question: cut})
                except DocumentError:
                    continue
                if found != whole:
                    yield question, place


def _version(body):
    """The version that a reader gives to a document that is also a file."""
    return f"sha256:{hashlib.sha256(body or b'').hexdigest()}"


def _question(source, request):
    url = urljoin(source.url, request.url)
    return Question(url, request.method, tuple(sorted(request.headers.items())), request.body)


def _read(reader, request, answer):
    if answer.body is None:
        if not request.optional:
            raise DocumentError(f"{request.url}: is not there")
        if request.told:
            yield from reader.read(Document(request, answer.url, {}, io.BytesIO(), missing=True))
        return
    yield from reader.read(Document(request, answer.url, dict(answer.headers), io.BytesIO(answer.body)))


def recorded(source, name, ask, mark=""):
    """Walk through an upstream; `ask` takes a Question and returns its Answer."""
    walk = Walk(built_in()[name], source, {}, {}, mark)
    reader = walk.reader()
    waiting = walk.first(reader)
    while waiting:
        request = waiting.pop(0)
        question = _question(source, request)
        if question in walk.answers:
            continue
        walk.asked[question] = request
        answer = walk.answers[question] = ask(question)
        waiting += [one for one in _read(reader, request, answer) if isinstance(one, DocumentRequest)]
    return walk


def from_upstream(upstream, mark=""):
    """Walk through a miniature over HTTP."""
    with served(upstream.app()) as origin:
        mirror = load_mirror(upstream.manifest(origin), "m.yaml")
        return recorded(mirror.source, upstream.reader, _over_http, mark)


def from_documents(source, name, documents):
    """Walk through documents by their urls; each is bytes, text, or one of them and its headers."""

    def ask(question):
        found = documents.get(question.url)
        body, headers = found if isinstance(found, tuple) else (found, {})
        return Answer(question.url, body.encode() if isinstance(body, str) else body, tuple(headers.items()))

    return recorded(source, name, ask)


def _over_http(question, hops=3):
    place = urlsplit(question.url)
    link = http.client.HTTPConnection(place.netloc, timeout=240)
    target = place.path + (f"?{place.query}" if place.query else "")
    link.request(question.method, target, question.body or None, dict(question.headers))
    response = link.getresponse()
    body = response.read()
    link.close()
    headers = {name.lower(): value for name, value in response.getheaders()}
    if response.status in (301, 302, 303, 307, 308) and hops:
        moved = Question(urljoin(question.url, headers["location"]), "GET", question.headers, b"")
        return _over_http(moved, hops - 1)
    assert response.status in (200, 207, 404), (question, response.status, body)
    return Answer(question.url, None if response.status == 404 else body, tuple(headers.items()))
