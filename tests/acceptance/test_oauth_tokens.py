"""A mirror of an archive that wants tokens: the real command line asks for one, and says who it is."""

import asyncio
import json

from tests.acceptance.cli import SYNCD
from tests.hostile.archives import Identity, Scripted
from tests.hostile.faults import Answer

FILES = {f"granules/{number:03}.nc": b"data %d" % number for number in range(40)}


async def test_a_whole_mirror_takes_one_token_and_nothing_shows_it(tmp_path):
    async with Scripted(files=FILES) as data, Scripted() as identity:
        tokens = Identity(identity)
        data.script = lambda request: (
            None
            if request.headers.get("authorization") == f"Bearer {tokens.given[-1] if tokens.given else ''}"
            else Answer(401)
        )
        (tmp_path / "password").write_text("s3cret\n")
        (tmp_path / "password").chmod(0o600)
        oauth = {
            "token_url": f"{identity.origin}/token", "client_id": "public", "username": "me",
            "password": {"file": "password"},
        }  # fmt: skip
        (tmp_path / "syncd.yaml").write_text(
            json.dumps(
                {
                    "user_agent": "(mirror of KISTI; ops@example.org)",
                    "allow_private": [data.origin, identity.origin],
                    "credentials": {"cdse": {"origin": data.origin, "oauth": oauth}},
                    "store": {"url": "store"},
                    "state": "state",
                }
            )
        )
        (tmp_path / "m.yaml").write_text(
            f"mirror: m\nsource: {json.dumps({'url': data.url(), 'credentials': 'cdse'})}\n"
        )
        process = await asyncio.create_subprocess_exec(
            SYNCD, "sync", str(tmp_path / "m.yaml"), "--config", str(tmp_path / "syncd.yaml"), "--json",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        done = json.loads(out.splitlines()[-1])
        assert (done["complete"], done["fetched"]) == (True, len(FILES))
        assert tokens.grants == ["password"]
        agent = data.requests[0].headers["user-agent"]
        assert agent.startswith("syncd/")
        assert agent.endswith(" (mirror of KISTI; ops@example.org)")
        assert identity.requests[0].headers["user-agent"] == agent
        kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "password"]
        assert not any(secret in path.read_bytes() for path in kept for secret in (b"s3cret", b"token1", b"refresh1"))
        assert b"token1" not in out + err
