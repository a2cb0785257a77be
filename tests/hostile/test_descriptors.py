"""Without file descriptors neither the source nor the store is at fault: the error says what to raise."""

import pytest

from syncd.core import Exhausted
from syncd.stores.filesystem.store import FilesystemStore
from tests.servers.descriptors import no_descriptors
from transports.file import FileTransport
from transports.http.transport import HttpTransport

pytestmark = [pytest.mark.promise("P9"), pytest.mark.filterwarnings("ignore::ResourceWarning")]


async def read(source, path):
    async with source.open(path) as body:
        return b"".join([chunk async for chunk in body])


async def test_a_folder_as_source(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    source = FileTransport(str(tmp_path))
    with no_descriptors(), pytest.raises(Exhausted, match="LimitNOFILE"):
        await read(source, "a")
    assert await read(source, "a") == b"a"


async def test_a_folder_as_store(tmp_path):
    store = FilesystemStore(tmp_path)
    await store.put("a", b"a")
    with no_descriptors():
        with pytest.raises(Exhausted, match="a: no file descriptor left"):
            await read(store, "a")
        with pytest.raises(Exhausted):
            await store.put("b", b"b")
    assert await read(store, "a") == b"a"
    await store.aclose()


async def test_a_server_as_source():
    source = HttpTransport("http://127.0.0.1:9/", user_agent="t", allow_private=frozenset({"http://127.0.0.1:9"}))
    try:
        with no_descriptors(), pytest.raises(Exhausted, match="no file descriptor left"):
            await read(source, "a")
    finally:
        await source.aclose()
