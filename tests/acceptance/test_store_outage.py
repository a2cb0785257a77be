"""A store that dies under a daemon, in the middle of a pass, and comes back: time is lost, and nothing else."""

import asyncio
import random

import pytest

from tests.acceptance.cli import Bucket, tree
from tests.acceptance.daemon_process import Service
from tests.servers.fixtures import S3Server, make_bucket
from tests.servers.nginx import nginx
from tests.servers.swift import Swift


@pytest.fixture
def mortal(tmp_path, swift):
    """A Swift of our own: the one that all tests share must live."""
    del swift  # it is installed then
    started = Swift(tmp_path / "swift")
    yield started
    started.close()


def test_a_daemon_outlives_its_store(tmp_path, mortal):
    www = tmp_path / "www"
    for n in range(40):
        file = www / f"m/{n % 3}/f{n}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(random.Random(n).randbytes(5 << 20 if n % 20 == 0 else 40_000))
    server = S3Server(mortal.endpoint, mortal.access_key, mortal.secret_key)
    asyncio.run(make_bucket(server))
    bucket = Bucket(server, server.url())
    with nginx(www, tmp_path / "nginx") as upstream:
        store = f"{{url: '{bucket.url}', endpoint: '{mortal.endpoint}'}}"
        service = Service(tmp_path, upstream.origin, store=store, environ=bucket.environ)
        service.declare("m", ", limits: {rate: 2 MB/s}")  # five seconds at least
        try:
            service.start()
            service.until(lambda: any("m/" in path for path in bucket.paths("")), "anything stored")
            mortal.die()
            service.until(lambda: [one for one in service.events("store_changed") if one["state"] == "offline"], "told")
            mortal.rise()
            service.until(lambda: any(one["complete"] for one in service.events("pass_finished")), "complete", 200)
            assert service.events("store_changed")[-1]["state"] == "online"
            assert bucket.read("m/") == tree(www / "m")
            code, out, err = service.command("verify", "m", "--read-data")
            assert code in (0, 3), out + err  # 3: the daemon scrubs
        finally:
            service.stop()
