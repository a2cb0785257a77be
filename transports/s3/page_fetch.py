"""The request of one page of a listing, and when a listing does not advance."""

import asyncio
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from manifests.messages import message
from syncd.core import PermanentError, TooLarge
from transports.s3.client import Bucket
from transports.s3.listing import HEAD, MAX_PAGE, early_token

MAX_EMPTY = 1000  # pages of a listing in a row that hold no file


class PageFetch:
    """The request of one page; its owner takes the body or closes it."""

    def __init__(self, bucket: Bucket, name: str, query: Mapping[str, str]) -> None:
        self._bucket = bucket
        self._name = name
        self._query = query
        self._token: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run())  # owned by list_pages, which takes or closes it

    async def token(self) -> str | None:
        """Return the token of the next page as soon as it has arrived; None if it is not found early, or absent."""
        both: list[asyncio.Future[Any]] = [self._token, self._task]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return self._token.result() if self._token.done() else None

    async def body(self) -> bytearray:
        """Return the whole page."""
        return await self._task

    async def aclose(self) -> None:
        """Abandon a page that is no longer needed."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # marks it as retrieved

    async def _run(self) -> bytearray:
        body = bytearray()
        with closing(await self._bucket.send("GET", "", self._name, query=self._query)) as answer:
            async for chunk in self._bucket.chunks(answer):
                if len(body) < HEAD and not self._token.done():
                    body += chunk
                    token = early_token(body)
                    if token is not None:
                        self._token.set_result(token)
                else:
                    body += chunk
                if len(body) > MAX_PAGE:
                    raise TooLarge(
                        message(
                            "{name}: a page of a listing of more than {max_page} bytes",
                            name=self._name,
                            max_page=MAX_PAGE,
                        )
                    )
        return body


def first_query(prefix: str, after: str, page: int, *, is_old: bool) -> dict[str, str]:
    """Return the query of the first page; `is_old` asks for the first version of listings, which all servers know."""
    query = {"max-keys": str(page), "encoding-type": "url", "prefix": prefix}
    if is_old:
        return {**query, "marker": after} if after else query
    return {"list-type": "2", **query, **({"start-after": after} if after else {})}


def stuck(name: str, token: str) -> PermanentError:
    """Return the error of a listing that does not advance."""
    return PermanentError(
        message(
            "{name}: the listing does not advance: the next page begins where this one did, at {token!r}",
            name=name,
            token=token[:100],
        )
    )


def expect_progress(name: str, asked: str | None, token: str | None, empty: int) -> None:
    """Raise PermanentError for an endless listing: a page that repeats its token, or too many without a file."""
    if token is None:
        return
    if token == asked:
        raise stuck(name, token)
    if empty >= MAX_EMPTY:
        raise PermanentError(
            message(
                "{name}: the listing does not advance: {empty} pages in a row without a file", name=name, empty=empty
            )
        )
