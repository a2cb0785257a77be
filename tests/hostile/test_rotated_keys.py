"""Keys of S3 that another program renews in ~/.aws/credentials while we work: they are read again, once for all."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from syncd.core.errors import CredentialExpired, Denied, Offline
from tests.hostile.archives import Scripted
from tests.hostile.faults import Answer
from transports.s3 import signing
from transports.s3.client import Bucket
from transports.s3.signing import Account
from transports.s3.transport import S3Transport

FILES = {f"bkt/f{number}": b"data %d" % number for number in range(40)}


class KeyRing:
    """The file of the keys, and the keys that the server accepts."""

    def __init__(self, path, monkeypatch):
        for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(path / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path / "credentials"))
        self.path, self.good, self.rejected = path / "credentials", "1", []

    def write(self, number):
        new = self.path.with_suffix(".new")
        new.write_text(
            f"[default]\naws_access_key_id = AK{number}\naws_secret_access_key = SK\naws_session_token = {number}\n"
        )
        new.rename(self.path)

    def answer(self, request):
        if request.headers.get("x-amz-security-token") == self.good:
            return None
        self.rejected.append(request.method)
        body = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
        return Answer(400, [], b"" if request.method == "HEAD" else body)


@pytest.fixture
def keys(tmp_path, monkeypatch):
    keys = KeyRing(tmp_path, monkeypatch)
    keys.write("1")
    return keys


@asynccontextmanager
async def bucket(keys, *, is_store=False):
    async with Scripted(keys.answer, FILES) as server:
        allowed = None if is_store else frozenset({server.origin})
        found = Bucket(
            "bkt", Account(endpoint=server.origin, region="x"), user_agent="syncd/test", allow_private=allowed
        )
        try:
            yield S3Transport(found, ""), server
        finally:
            await found.aclose()


async def read(transport, path):
    async with transport.open(path) as body:
        return b"".join([chunk async for chunk in body])


@pytest.mark.parametrize("is_store", [False, True], ids=["source", "store"])
async def test_keys_that_were_written_again_are_read_and_every_request_succeeds(keys, is_store):
    async with bucket(keys, is_store=is_store) as (transport, _):
        assert await read(transport, "f0") == b"data 0"
        keys.good = "2"
        keys.write("2")
        assert (await transport.stat("f1")).size == 6  # its HEAD is refused without a reason
        keys.good = "3"
        keys.write("3")
        async with asyncio.TaskGroup() as group:
            reads = [group.create_task(read(transport, f"f{number}")) for number in range(40)]
        assert [one.result() for one in reads] == [FILES[f"bkt/f{number}"] for number in range(40)]


async def test_keys_that_are_written_a_moment_after_they_ended_are_waited_for(keys):
    async with bucket(keys, is_store=True) as (transport, _):
        await read(transport, "f0")
        keys.good = "2"

        async def rotate():
            while not keys.rejected:
                await asyncio.sleep(0.01)
            keys.write("2")

        async with asyncio.TaskGroup() as group:
            group.create_task(rotate())
            assert await read(transport, "f1") == b"data 1"


@pytest.mark.parametrize(("is_store", "kind"), [(False, CredentialExpired), (True, Offline)], ids=["source", "store"])
async def test_keys_that_nobody_renewed_are_told_and_not_sent_again_and_again(keys, monkeypatch, is_store, kind):
    monkeypatch.setattr(signing, "GRACE", 0.0)
    async with bucket(keys, is_store=is_store) as (transport, _):
        await read(transport, "f0")
        keys.good = "2"
        for number in range(40):
            with pytest.raises(kind, match=r"ExpiredToken.*the keys were read again and have not changed: renew them"):
                await read(transport, f"f{number}")
        assert len(keys.rejected) == 1
        monkeypatch.setattr(signing, "READ_EVERY", 0.0)
        keys.write("2")
        assert await read(transport, "f1") == b"data 1"


async def test_keys_that_were_wrong_from_the_beginning_are_a_denial_at_once(keys, monkeypatch):
    monkeypatch.setattr(signing, "GRACE", 1e9)
    keys.good = "2"
    async with bucket(keys, is_store=True) as (transport, _):
        with pytest.raises(Denied, match="are the credentials right"):
            await read(transport, "f0")
