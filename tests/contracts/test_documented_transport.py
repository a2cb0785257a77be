"""The contract of transports, held by the example in docs/writing-a-transport.md."""

import asyncio
import types
import zipfile

import pytest

from syncd.core import Interrupted, Unreachable, Unsupported
from tests.contracts.transport_contract import TransportContract, read
from tests.plug_ins import block


@pytest.fixture(scope="module")
def example():
    module = types.ModuleType("syncd_zip")
    exec(compile(block("syncd_zip", "python"), "docs/writing-a-transport.md", "exec"), module.__dict__)
    return module


@pytest.fixture
def archive(tmp_path):
    return tmp_path / "archive.zip"


@pytest.fixture
async def transport(example, archive):
    found = example.open_transport(
        f"zip://localhost{archive}/", options={}, credential=None, allow_private=frozenset(), user_agent="syncd/test"
    )
    yield found
    await found.aclose()


class TestTheExample(TransportContract):
    @pytest.fixture(autouse=True)
    def written(self, tree, archive):
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
            made.mkdir("a")
            for path, content in tree.items():
                made.writestr(path, content)


async def test_an_archive_that_is_not_there_can_come_later(transport):
    with pytest.raises(Unreachable, match=r"archive\.zip: "):
        await anext(transport.list())


async def test_a_file_that_is_no_archive_can_become_one(transport, archive):
    archive.write_bytes(b"<html>")
    with pytest.raises(Unreachable, match=r"^x: "):
        await transport.stat("x")


async def test_a_member_whose_bytes_are_damaged_breaks_off(transport, archive):
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("x", b"right" * 1000)
    archive.write_bytes(archive.read_bytes().replace(b"right", b"wrong"))
    with pytest.raises(Interrupted, match=r"^x: Bad CRC-32"):
        await read(transport, "x")


async def test_a_member_under_a_password_is_unsupported(transport, archive):
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("x", b"secret")
    content = bytearray(archive.read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.find(signature) + flags] |= 1
    archive.write_bytes(content)
    with pytest.raises(Unsupported, match=r"^x: .*password"):
        await read(transport, "x")


async def test_a_file_is_closed_once_the_thread_that_reads_it_has_finished(example, transport, archive):
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("x", b"x" * 100)
    async with transport.open("x") as body:
        file, body.reading = body._file, asyncio.get_running_loop().create_future()
    assert not file.closed
    body.reading.set_result(b"")
    await asyncio.sleep(0)
    assert file.closed
