"""FTP servers without MLSD and MDTM: the times that LIST shows tell of changes, and are asked about while too young."""

import time

import msgspec
import pytest

from syncd.wrappers.retry_policy import Policy
from syncd.wrappers.retrying_transport import Retrying
from tests.acceptance.mirroring import Mirroring
from tests.hostile.ftp_server import HostileFtp
from transports.ftp.transport import FtpTransport


class ListOnly(Mirroring):
    """A mirror of an FTP server that shows times in LIST only."""

    def __init__(self, folder, server):
        super().__init__(folder, None)
        self.server = server
        server.features, server.replies = ["SIZE"], {"MDTM": "502 no"}

    def work(self, store, catalogue, stopping=None):
        context = super().work(store, catalogue, stopping)
        self.opened = FtpTransport(
            f"{self.server.origin}/", user_agent="t", allow_private=frozenset({self.server.origin})
        )
        return msgspec.structs.replace(context, source=Retrying(self.opened, Policy(attempts=2, first=0.001)))

    async def run(self, **how):
        try:
            return await super().run(**how)
        finally:
            await self.opened.aclose()


@pytest.mark.parametrize("after", ["Mar 05 07:13", "Mar 06 07:12"])
async def test_a_file_of_the_same_size_with_another_time_is_fetched(tmp_path, after):
    async with HostileFtp({"a": b"old", "b": b"bbb"}) as server:
        server.shown = {"a": "Mar 05 07:12", "b": "Mar 05 07:12"}
        mirroring = ListOnly(tmp_path, server)
        await mirroring.run()
        result = await mirroring.run()
        assert (result.kept, result.bytes) == (2, 0)
        server.files["a"] = (b"new", "")
        server.shown["a"] = after
        result = await mirroring.run()
        assert (result.replaced, result.kept, mirroring.natural()["a"]) == (1, 1, b"new")


async def test_a_file_that_loses_its_clock_with_age_is_kept(tmp_path):
    year = time.gmtime().tm_year - (time.gmtime()[1:3] < (3, 5))
    async with HostileFtp({"a": b"old"}) as server:
        server.shown = {"a": "Mar 05 07:12"}
        mirroring = ListOnly(tmp_path, server)
        await mirroring.run()
        server.shown = {"a": f"Mar 05  {year}"}
        result = await mirroring.run()
        assert (result.kept, result.bytes) == (1, 0)


async def test_a_file_rewritten_in_the_minute_that_list_shows_is_noticed(tmp_path):
    async with HostileFtp({"a": b"old"}) as server:
        mirroring = ListOnly(tmp_path, server)
        mirroring.now = time.time()
        server.shown = {"a": time.strftime("%b %d %H:%M", time.gmtime(mirroring.now + 60))}
        await mirroring.run()
        server.files["a"] = (b"new", "")
        await mirroring.run()
        assert mirroring.natural()["a"] == b"new"
