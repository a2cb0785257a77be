"""Looks at an address, and says which reader fits it: documents there are read, and each reader that may fit is tried.

Rules:
1. What the address itself tells comes first, then lists and descriptions below it, then the document at it. A page of
   links is last: whatever else fits proves more.
2. A reader fits if a bounded survey with it ends without a failure, and finds a file.
3. Nothing is stored, and no document is read further than it takes to know what it is.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import msgspec
import typer

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import Mirror, load_mirror
from manifests.recognition import (
    NAMES,
    Candidate,
    FoundFiles,
    GivenAddress,
    by_address,
    by_content,
    by_name,
    given_address,
    manifest_text,
)
from syncd.cli.asking import asking_session
from syncd.cli.context import CommandContext
from syncd.core import ConfigError, Denied, NothingFound, SyncdError
from syncd.engine import DocumentHead, PassContext, head_of, look_at_source
from syncd.process import DONE, run
from syncd.session import Session

AT_ONCE = 4  # names that are asked for together
MAX_NAMES = 20.0  # seconds in which all names are asked for
REASON_SHOWN = 300  # characters of why a reader does not fit


class TriedSource(msgspec.Struct, frozen=True):
    """A candidate, and what a look found or why it does not fit; neither if it was not tried."""

    candidate: Candidate
    found: FoundFiles | None = None
    reason: str = ""

    @property
    def fits(self) -> bool:
        """True if a survey ended well."""
        return self.found is not None and not self.reason


class LookResult(msgspec.Struct):
    """All that may fit an address, tried in order until one did."""

    given: GivenAddress
    credentials: str
    tried: list[TriedSource] = []
    error: SyncdError | None = None

    @property
    def best(self) -> TriedSource | None:
        """Return what fits."""
        return next((one for one in self.tried if one.fits), None)

    def require(self) -> TriedSource:
        """Return what fits; raises what stands in the way."""
        if self.best is not None:
            return self.best
        if isinstance(self.error, Denied) and not self.credentials:
            raise Denied(
                message("{cause}: name a credential of syncd.yaml with --credentials", cause=self.error)
            ) from self.error
        if self.error is not None:
            raise self.error
        raise NothingFound(
            message(
                "{url}: no reader finds a file there: give the address of a folder, a record or a list",
                url=self.given.page,
            )
        )


def look(context: CommandContext, given: GivenAddress, credentials: str, report: Callable[[str], None]) -> LookResult:
    """Look at an address, and report each reader that was tried."""
    results: list[LookResult] = []

    async def work() -> int:
        async with asking_session(context) as session:
            results.append(await Look(session, given, credentials, report).run())
        return DONE

    if (code := run(work)) != DONE:
        raise typer.Exit(code)  # interrupted
    return results[0]


def read_address(text: str) -> GivenAddress:
    """Return an address of the command line; raises ConfigError."""
    try:
        return given_address(text)
    except (InvalidValue, ValueError) as error:
        raise ConfigError(message("{url}: {cause}", url=text, cause=error)) from error


class Look:
    """One look at an address."""

    def __init__(self, session: Session, given: GivenAddress, credentials: str, report: Callable[[str], None]) -> None:
        self._session = session
        self._credentials = credentials
        self._report = report
        self._result = LookResult(given, credentials)

    async def run(self) -> LookResult:
        """Try what may fit until something does; the rest is listed untried."""
        given, result = self._result.given, self._result
        native = [] if given.is_web else list(by_address(given))
        if given.is_web and await self._try(by_address(given)):
            return result
        lists, pages = await self._documents()
        await self._try([*lists, *pages, *native])
        return result

    async def _documents(self) -> tuple[list[Candidate], list[Candidate]]:
        """Return what documents at and below the address say: lists and descriptions, and pages of links."""
        given = self._result.given
        reader = "autoindex" if given.is_web else ""
        async with self._opened(Candidate(given.folder, reader, "")) as context:
            head = await self._head(context, given.page if given.is_web else given.file)
            self._result.error = head.error if head is not None else None
            here = list(by_content(given, head.body)) if head is not None else []
            if given.file and here and here[0].reader != "autoindex":
                below: list[Candidate] = []  # the address is that of a list
            else:
                below = await self._names(context)
        pages = [one for one in here if one.reader == "autoindex"]
        described = [one for one in here if one.reader != "autoindex"]
        return ([*described, *below] if given.file else [*below, *described]), pages

    async def _head(self, context: PassContext, place: str) -> DocumentHead | None:
        return await head_of(context, place) if place else None

    async def _names(self, context: PassContext) -> list[Candidate]:
        given, found = self._result.given, dict[str, Candidate]()
        todo = iter(NAMES)

        async def ask() -> None:
            for name in todo:
                head = await head_of(context, f"{given.folder}{name}" if given.is_web else name)
                candidate = by_name(given, name, head.body) if not head.error else None
                if candidate is not None:
                    found[name] = candidate

        with suppress(TimeoutError):
            async with asyncio.timeout(MAX_NAMES), asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(ask())
        return [found[name] for name in NAMES if name in found]

    async def _try(self, candidates: Iterable[Candidate]) -> bool:
        """Try candidates until one fits; return True if one does."""
        for candidate in candidates:
            if any(one.candidate.source == candidate.source for one in self._result.tried):
                continue
            tried = TriedSource(candidate) if self._result.best is not None else await self._tried(candidate)
            self._result.tried.append(tried)
            self._report(_line(tried))
        return self._result.best is not None

    async def _tried(self, candidate: Candidate) -> TriedSource:
        try:
            async with self._opened(candidate) as context:
                row = self._session.catalogue.history.ensure_row(context.mirror)
                found = await look_at_source(context, row)
        except SyncdError as error:
            self._result.error = error
            return TriedSource(candidate, None, self._session.secrets.redact(str(error))[:REASON_SHOWN])
        if found.failed:
            return TriedSource(candidate, found, "{}: {}".format(*found.failed[0])[:REASON_SHOWN])
        return TriedSource(candidate, found, "" if found.files else "lists no file")

    @asynccontextmanager
    async def _opened(self, candidate: Candidate) -> AsyncIterator[PassContext]:
        number = len(self._result.tried)
        text = manifest_text(candidate, None, name=f"look-{number}", credentials=self._credentials)
        async with self._session.pass_context(_loaded(text)) as context:
            yield context


def _loaded(text: str) -> Mirror:
    return load_mirror(text, "the manifest that was made")


def _line(tried: TriedSource) -> str:
    name = tried.candidate.reader or "the url's own protocol"
    if tried.fits:
        assert tried.found is not None
        return f"{name} fits: {tried.candidate.why}: {tried.found.size}"
    if tried.reason:
        return f"{name} does not fit: {tried.candidate.why}: {tried.reason}"
    return f"{name} may fit, too: {tried.candidate.why}"
