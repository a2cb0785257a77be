"""A web server with bad days: listings that are cut or whose clock jumps, odd answers, an ETag of each backend, lost
ranges, reboots.

`reached` counts what of each was really served. A soak in which one was not reached shows nothing about it.
"""

import collections
import random

from tests.hostile.faults import Answer, Request
from tests.hostile.server import HostileServer

LOGIN = b"<html><head><title>Sign in</title></head><body><form>user, password</form></body></html>\n"
KINDS = (
    "emptied file",
    "half-written file",
    "cut listing",
    "odd answer",
    "clock of the listing",
    "ETag of each backend",
    "lost range",
    "reboot",
)


class BadServer(HostileServer):
    """A polite server whose days are bad with some probability; `is_calm` ends that."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance
        self.is_calm = False
        self.has_backends = False
        self.has_ranges = True
        self.is_up = True
        self.marked: dict[str, str] = {}
        """Files that are emptied or half written now, and which of both."""
        self.reached: collections.Counter[str] = collections.Counter()

    def polite(self, request: Request) -> Answer:
        """Return the answer of a good server on a bad day."""
        file = self.files.get(request.path)
        if file is None:
            return self._listed(request)
        if (kind := self.marked.get(request.path)) is not None:
            self.reached[kind] += 1
        if not self.is_calm and self.chance.random() < 0.004:
            self.reached["odd answer"] += 1
            return Answer(200, [("Content-Type", "text/html")], LOGIN, request.method == "HEAD")
        if "range" in request.headers and not self.has_ranges:
            self.reached["lost range"] += 1
            request.headers.pop("range")
        answer = super().polite(request)
        if self.has_backends and file.etag is not None:
            self.reached["ETag of each backend"] += 1
            mine = f'"{self.chance.randrange(2)}-{file.etag[1:]}'
            wanted = request.headers.get("if-match")
            if wanted not in (None, mine):
                return Answer(412, [("ETag", mine)], b"", request.method == "HEAD")
            if "if-range" in request.headers and request.headers["if-range"] not in (mine, file.date):
                return Answer(200, [("ETag", mine)], file.content, request.method == "HEAD")
            answer.headers[:] = [(name, mine if name == "ETag" else value) for name, value in answer.headers]
        return answer

    def page(self, request: Request) -> Answer:
        """Return the listing of a good server."""
        return super().polite(request)

    async def go_down(self) -> None:
        """Break every connection, and accept no more."""
        self.is_up = False
        self.reached["reboot"] += 1
        await self.__aexit__(None, None, None)

    async def come_up(self) -> None:
        """Accept connections again, at the same port."""
        await self.__aenter__()
        self.is_up = True

    def _listed(self, request: Request) -> Answer:
        answer = self.page(request)
        if answer.status == 200 and self.listing_shift:
            self.reached["clock of the listing"] += 1
        if answer.status == 200 and not self.is_calm and self.chance.random() < 0.02:
            self.reached["cut listing"] += 1
            return Answer(200, answer.headers, answer.body[: len(answer.body) // 2], request.method == "HEAD")
        return answer
