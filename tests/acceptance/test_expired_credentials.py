"""Passes whose credential ends under way: it is renewed once for all, or nothing more is asked with it."""

import asyncio
import json
import random
import re

import pytest

from syncd.config import load_config
from syncd.core.errors import CredentialExpired
from syncd.engine.mirror_pass import Pass
from syncd.session.manifests import parse
from syncd.session.opening import open_session
from syncd.sources import credential_keeper
from tests.hostile.archives import Identity, Scripted
from tests.hostile.faults import Answer

COUNT = 120
FILES = {f"f{number:03}.nc": random.Random(number).randbytes(300) for number in range(COUNT)}


class CredentialedMirror:
    """One mirror of an archive that wants a credential, and what it is asked for."""

    def __init__(self, folder, server, credential, *, limits=None):
        self.folder, self.server = folder, server
        self.write_secret("first")
        self.events = []
        settings = {
            "allow_private": [server.origin],
            "credentials": {"mine": {"origin": server.origin, **credential}},
            "store": {"url": "store"},
            "state": "state",
            "workers": 0,
        }
        (folder / "syncd.yaml").write_text(json.dumps(settings))
        source = {"url": server.url(), "credentials": "mine", **({"limits": limits} if limits else {})}
        self.manifest = parse(f"mirror: m\nsource: {json.dumps(source)}\n", "m.yaml")

    def write_secret(self, secret):
        (self.folder / "secret.tmp").write_text(f"{secret}\n")
        (self.folder / "secret.tmp").chmod(0o600)
        (self.folder / "secret.tmp").rename(self.folder / "secret")

    async def run(self):
        config = await asyncio.to_thread(load_config, self.folder / "syncd.yaml", environ={})
        stopping = asyncio.Event()
        async with (
            asyncio.timeout(120),
            open_session(config, {}, self.events.append, lease="held", stopping=stopping) as session,
            session.pass_context(self.manifest) as context,
        ):
            try:
                return await Pass(context).run()
            except CredentialExpired as error:
                return error

    def files(self):
        return {path.name: path.read_bytes() for path in (self.folder / "store" / "m").glob("*")}


def rejecting(server, is_good):
    def script(request):
        return None if is_good(request.headers.get("authorization", "")) else Answer(401)

    server.script = script


@pytest.mark.promise("P10")
@pytest.mark.fault(25)
@pytest.mark.parametrize("limits", [None, {"connections": 1}], ids=["unlimited", "one connection"])
async def test_a_token_server_on_the_datas_own_origin_renews_the_token_in_mid_pass(tmp_path, limits):
    async with Scripted(files=FILES) as server:
        given = []
        served = 0

        def script(request):
            nonlocal served
            if request.path == "token":
                given.append(served)
                token = {"access_token": f"token{len(given)}", "expires_in": 3600}
                return Answer(200, [], json.dumps(token).encode())
            if request.headers.get("authorization") != f"Bearer token{len(given)}":
                return Answer(401)
            served += 1
            if served % 40 == 0:  # this one is the token's last
                given.append(0)
            return None

        server.script = script
        oauth = {"token_url": f"{server.origin}/token", "client_id": "c", "username": "me"}
        mirror = CredentialedMirror(
            tmp_path, server, {"oauth": {**oauth, "password": {"file": "secret"}}}, limits=limits
        )
        done = await mirror.run()
        assert (done.complete, done.failed) == (True, 0), [e for e in mirror.events if "Failed" in type(e).__name__]
        assert mirror.files() == FILES


@pytest.mark.promise("P10")
async def test_a_secret_that_is_written_again_is_read_once_for_all_and_the_pass_goes_on(tmp_path):
    async with Scripted(files=FILES) as server:
        rejected = []
        mirror = CredentialedMirror(tmp_path, server, {"bearer": {"file": "secret"}}, limits={"connections": 8})

        def is_good(sent):
            if len(server.requests) == 60:
                mirror.write_secret("second")
            wanted = "Bearer first" if len(server.requests) < 60 else "Bearer second"
            rejected.extend([sent] * (sent != wanted))
            return sent == wanted

        rejecting(server, is_good)
        done = await mirror.run()
        assert (done.complete, done.failed) == (True, 0)
        assert mirror.files() == FILES
        assert set(rejected) == {"Bearer first"}
        assert len(rejected) <= 8  # those under way


@pytest.mark.promise("P10")
async def test_a_dead_secret_is_told_once_and_the_files_wait_for_the_next_pass(tmp_path, monkeypatch):
    monkeypatch.setattr(credential_keeper, "GRACE", 0.0)
    async with Scripted(files=FILES) as server:
        mirror = CredentialedMirror(tmp_path, server, {"bearer": {"file": "secret"}}, limits={"connections": 8})
        rejecting(server, lambda sent: len(server.requests) < 60)
        told = await mirror.run()
        assert isinstance(told, CredentialExpired)
        assert re.search(r"credentials.mine: is no longer accepted.*; \d+ files wait$", str(told))
        assert len(server.requests) <= 60 + 9  # those under way, and the one that decides
        had = mirror.files()
        assert 0 < len(had) < COUNT
        mirror.write_secret("second")
        rejecting(server, lambda sent: sent == "Bearer second")
        done = await mirror.run()
        assert (done.complete, done.failed) == (True, 0)
        assert mirror.files() == FILES


async def test_files_with_access_control_of_their_own_do_not_end_the_credential(tmp_path):
    async with Scripted(files=FILES) as server:
        server.script = lambda request: Answer(401) if request.path[1:].startswith("00") else None
        mirror = CredentialedMirror(tmp_path, server, {"bearer": {"file": "secret"}})
        done = await mirror.run()
        assert done.failed == 10
        assert len(mirror.files()) == COUNT - 10


async def test_a_slow_and_failing_token_server_is_asked_by_one_request_at_a_time(tmp_path):
    async with Scripted(files=FILES) as data, Scripted() as identity:
        tokens = Identity(identity)
        answers = [Answer(500), Answer(429, [("Retry-After", "1")])]
        right = tokens.answer

        def answer(request):
            return answers.pop() if answers else right(request)

        identity.script = answer
        rejecting(data, lambda sent: sent == f"Bearer {tokens.given[-1] if tokens.given else ''}")
        oauth = {"token_url": f"{identity.origin}/token", "client_id": "public", "username": "me"}
        mirror = CredentialedMirror(tmp_path, data, {"oauth": {**oauth, "password": {"file": "secret"}}})
        mirror.write_secret("s3cret")
        settings = json.loads((tmp_path / "syncd.yaml").read_text())
        settings["allow_private"].append(identity.origin)
        (tmp_path / "syncd.yaml").write_text(json.dumps(settings))
        done = await mirror.run()
        assert (done.complete, done.failed) == (True, 0)
        assert (len(identity.requests), tokens.grants) == (3, ["password"])
