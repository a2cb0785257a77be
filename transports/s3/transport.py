"""Reads S3 buckets: native listings, ranges bound to a version by If-Match; at AWS and wherever its protocol is spoken.

A path may be the url of another bucket, `s3://other/key`: it is asked at the same endpoint, by the same profile or
anonymously, but never with a credential that is bound to this one.

A version is the ETag with its quotes. A range from the beginning that is refused, or answered oddly, is asked for as
the whole object; the bucket is asked so from then on. Any other range that is not served as asked raises RangeRefused.
"""

import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, closing
from typing import cast

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import (
    Body,
    Changed,
    ConfigError,
    Credential,
    Denied,
    NetworkPlan,
    Page,
    PermanentError,
    RangeRefused,
    Unsupported,
)
from transports.http import HttpAnswer
from transports.s3.body import S3Body, accepted, announced_length, stat_of
from transports.s3.bucket_address import Addressing
from transports.s3.client import Bucket, split_url
from transports.s3.describe import HeadRequests
from transports.s3.errors import Precondition, Unimplemented
from transports.s3.listing import read_page
from transports.s3.page_fetch import PageFetch, expect_progress, first_query, stuck
from transports.s3.signing import Account

_SCHEME = "s3://"


def open_transport(
    url: str,
    *,
    options: Mapping[str, object],
    credential: Credential | None,
    allow_private: frozenset[str],
    user_agent: str,
    network: NetworkPlan | None = None,
) -> "S3Transport":
    """Return the transport of `s3://bucket/prefix/`.

    Its options are endpoint, region, addressing, anonymous, profile and requester_pays.
    """
    try:
        name, root = split_url(url)
    except ValueError as error:
        raise ConfigError(str(error)) from error

    def text(option: str) -> str | None:
        value = options.get(option)
        return None if value is None else str(value)

    account = Account(
        endpoint=text("endpoint"),
        region=text("region"),
        profile=text("profile"),
        anonymous=bool(options.get("anonymous")),
        credential=credential,
        addressing=cast("Addressing", text("addressing") or "auto"),
    )

    def bucket(name: str, account: Account) -> Bucket:
        return Bucket(
            name,
            account,
            user_agent=user_agent,
            allow_private=allow_private,
            requester_pays=bool(options.get("requester_pays")),
            network=network,
        )

    def other(name: str) -> Bucket:
        is_bound = credential is not None and credential.origin != f"s3://{name}"
        return bucket(name, dataclasses.replace(account, credential=None) if is_bound else account)

    return S3Transport(bucket(name, account), root, other=other)


class S3Transport:
    """`syncd.core.ports.Transport` on the keys of a bucket that begin with `root`."""

    def __init__(
        self, bucket: Bucket, root: str, *, page: int = 1000, other: Callable[[str], Bucket] | None = None
    ) -> None:
        """`page` is the number of keys in a page, at most 1,000. `other` opens another bucket, for a source."""
        self.bucket = bucket
        self.root = root
        self._page = page
        self._other = other
        self._others: dict[str, S3Transport] = {}
        self._heads = HeadRequests(is_source=other is not None)
        self._serves_whole = False
        self._serves_ranges = False
        self._is_old = False
        self._matches = True  # the server understands If-Match
        self._knows_checksums = True  # and x-amz-checksum-mode

    @property
    def certificates(self) -> dict[str, float]:
        """Return the expiry of the certificate that each origin presented last, in seconds since the epoch."""
        return self.bucket.certificates

    async def list(self, prefix: str = "") -> AsyncGenerator[Stat, None]:
        """Yield every object below `prefix`, in the server's order."""
        async with aclosing(self.list_pages(prefix)) as pages:
            async for page in pages:
                for stat in page:
                    yield stat

    async def list_pages(self, prefix: str = "", after: str = "") -> AsyncGenerator[Page, None]:
        """Yield pages; the next one is requested while the caller works on this one."""
        if prefix.startswith(_SCHEME):
            there, key = self._elsewhere(prefix)
            async with aclosing(there.list_pages(key, after)) as pages:
                async for page in pages:
                    yield page
            return
        name = f"s3://{self.bucket.name}/{self.root}{prefix}"
        start = self.root + after if after else ""
        query = first_query(self.root + prefix, start, self._page, is_old=self._is_old)
        current = PageFetch(self.bucket, name, query)
        asked: str | None = None
        empty = 0
        behind = ""
        try:
            while True:
                token = await current.token()
                following = PageFetch(self.bucket, name, {**query, "continuation-token": token}) if token else None
                try:
                    body = await current.body()
                except Unsupported as refusal:
                    if asked is not None or self._is_old:
                        raise
                    query = first_query(self.root + prefix, self.root + after if after else "", self._page, is_old=True)
                    current = PageFetch(self.bucket, name, query)
                    try:
                        body = await current.body()
                    except PermanentError as error:
                        raise refusal from error
                    self._is_old = True
                try:
                    listed = read_page(body, self.root, name)
                    empty = 0 if listed.page else empty + 1
                    if listed.is_last and asked is not None and not listed.page:
                        listed = dataclasses.replace(listed, token=None)
                    expect_progress(name, asked, listed.token, empty)
                    if listed.marker and listed.marker <= behind:
                        raise stuck(name, listed.marker)
                    behind = listed.marker
                except BaseException:
                    if following is not None:
                        await following.aclose()
                    raise
                if following is not None and listed.token != token:
                    await following.aclose()  # text that only looked like a token
                    following = None
                if following is None and listed.token is not None:
                    following = PageFetch(self.bucket, name, {**query, "continuation-token": listed.token})
                if listed.marker:  # a server that knows only the first version of listings, whatever it was asked
                    self._is_old = True
                    query = first_query(self.root + prefix, "", self._page, is_old=True)
                    following = PageFetch(self.bucket, name, {**query, "marker": listed.marker})
                asked = listed.token or listed.marker
                if following is not None:
                    current = following
                if listed.page:
                    yield listed.page
                if following is None:
                    return
        finally:
            await current.aclose()

    async def stat(self, path: str) -> Stat:
        """Ask with HEAD; where that cannot be trusted, with a GET of the first byte."""
        if path.startswith(_SCHEME):
            there, key = self._elsewhere(path)
            return await there.stat(key)
        return await self._heads.describe(self, path)

    def first_byte(self, path: str) -> AbstractAsyncContextManager[Body]:
        """Open the first byte of an object; the whole one, unread, where ranges are refused."""
        return self.open(path, stop=1)

    async def head(self, path: str) -> Stat:
        """Ask with HEAD alone."""
        headers = {"x-amz-checksum-mode": "ENABLED"} if self._knows_checksums else {}
        try:
            async with self.bucket.slot():
                with closing(await self.bucket.send("HEAD", self.root + path, path, headers=headers)) as answer:
                    found = answer.headers
                    return stat_of(path, found, announced_length(found))
        except Unsupported:
            if headers:
                self._knows_checksums = False
                return await self.stat(path)
            async with self.open(path, stop=1) as body:  # a server that does not answer HEAD
                return body.stat

    @asynccontextmanager
    async def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AsyncIterator[Body]:
        """Read `[start, stop)`, of `version` only."""
        if path.startswith(_SCHEME):
            there, key = self._elsewhere(path)
            async with there.open(key, start=start, stop=stop, version=version) as body:
                yield body
            return
        if stop is not None and stop <= start:
            yield await self._nothing(path, start, version)
            return
        is_partial = start > 0 or stop is not None
        if start == 0 and is_partial and self._serves_whole:
            stop, is_partial = None, False
        try:
            answer = await self._get(path, start, stop, version)
            try:
                body = accepted(self.bucket, answer, path, start, stop, version=version, url=await self._url(path))
            except BaseException:
                answer.close()
                raise
        except (Unsupported, Denied) as error:
            if not is_partial or (isinstance(error, Denied) and (start > 0 or self._serves_ranges)):
                raise
            if start > 0:
                raise error if isinstance(error, RangeRefused) else RangeRefused(error.args[0]) from error
            # asked for plainly: a range was refused, or it begins behind the end of an empty object
            answer = await self._get(path, 0, None, version)
            try:
                body = accepted(self.bucket, answer, path, 0, None, version=version, url=await self._url(path))
            except BaseException:
                answer.close()
                raise
            self._serves_whole = body.stat.size != 0 and not self._serves_ranges
        self._serves_ranges = self._serves_ranges or answer.status == 206
        with closing(answer):
            yield body

    async def _get(self, path: str, start: int, stop: int | None, version: str | None) -> HttpAnswer:
        """Send the request of a read, with a condition if the server has any.

        The version in the answer is compared in any case. Some servers compare ETags in another form than they give.
        """
        headers = {}
        if start > 0 or stop is not None:
            headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        if version is not None and self._matches:
            try:
                return await self.bucket.send("GET", self.root + path, path, headers={**headers, "If-Match": version})
            except Unimplemented:
                self._matches = False
            except Precondition as error:
                if (await self.stat(path)).version != version:
                    raise Changed(message("{path}: is no longer {version}", path=path, version=version)) from error
                self._matches = False
        return await self.bucket.send("GET", self.root + path, path, headers=headers)

    async def _url(self, path: str) -> str:
        return await self.bucket.url(self.root + path)

    async def aclose(self) -> None:
        """Close all connections."""
        await self.bucket.aclose()
        for there in self._others.values():
            await there.aclose()

    def _elsewhere(self, url: str) -> tuple["S3Transport", str]:
        """Return the transport of another bucket's url, and the key there."""
        name, _, key = url.removeprefix(_SCHEME).partition("/")
        there = self._others.get(name)
        if there is None:
            if self._other is None or not name:
                raise Unsupported(message("{url}: another bucket, which this source does not include", url=url))
            there = self._others[name] = S3Transport(self._other(name), "", page=self._page, other=self._other)
        return there, key

    async def _nothing(self, path: str, start: int, version: str | None) -> S3Body:
        """Return a body without bytes; no range can ask for one."""
        stat = await self.stat(path)
        if version is not None and stat.version != version:
            raise Changed(
                message("{path}: version {before} became {after}", path=path, before=version, after=stat.version)
            )
        if start > (stat.size or 0):
            raise Unsupported(
                message("{path}: has {size} bytes, none at {start}", path=path, size=stat.size, start=start)
            )
        return S3Body(self.bucket, None, stat, start, start, await self.bucket.url(self.root + path))
