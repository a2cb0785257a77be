"""Real S3 servers for tests, started once a run; and places in them that no other test touches."""

import asyncio
import hashlib
import os
import secrets
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from syncd.core.ports import Credential
from syncd.stores.s3.store import S3Store
from syncd.wrappers.retry_policy import Policy, retrying
from tests.servers import rgw as ceph
from tests.servers.s3_proxy import Proxy
from tests.servers.swift import Swift, install
from tests.servers.tls import Authority

BUCKET = "syncd-tests"
PART = 5 << 20  # the smallest part that S3 servers take
IN_CI = os.environ.get("CI") == "true"


@dataclass(frozen=True)
class S3Server:
    """Where an S3 server is and how to be let in."""

    endpoint: str
    access_key: str
    secret_key: str
    ssl_context: ssl.SSLContext | None = None

    @property
    def credential(self):
        return Credential("tests", f"s3://{BUCKET}", "s3", self.secret_key, username=self.access_key)

    def at(self, endpoint, ssl_context=None):
        return replace(self, endpoint=endpoint, ssl_context=ssl_context)

    def url(self):
        return f"s3://{BUCKET}/{secrets.token_hex(6)}/"

    def store(self, url, **more):
        given: dict[str, Any] = {
            "piece": PART,
            "copy_limit": 2 * PART,
            "copy_part": PART + 1,
            "page": 10,
            "header_timeout": 60.0,
            "region": "us-east-1",
        }
        return S3Store(
            url, endpoint=self.endpoint, credential=self.credential, ssl_context=self.ssl_context, **{**given, **more}
        )


async def make_bucket(server):
    """Make the tests' bucket; a server that has only just started may say "not now" at first."""
    store = server.store(f"s3://{BUCKET}/")
    patient = Policy(attempts=12, first=0.5, most=5.0)
    await retrying(lambda: store._bucket.read("PUT", "", BUCKET), BUCKET, patient)
    await store.aclose()


def unavailable(what, why):
    if IN_CI:
        raise AssertionError(f"{what} must not be missing in CI: {why}")
    pytest.skip(f"{what} is not here: {why}")


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def swift(tmp_path_factory) -> Iterator[S3Server]:
    try:
        install()
    except (subprocess.CalledProcessError, OSError) as error:
        unavailable("OpenStack Swift", f"pip install swift failed: {getattr(error, 'stderr', error)!s:.300}")
    started = Swift(tmp_path_factory.mktemp("swift"))
    try:
        server = S3Server(started.endpoint, started.access_key, started.secret_key)
        asyncio.run(make_bucket(server))
        yield server
    finally:
        started.close()


@pytest.fixture(scope="session")
def ceph_cluster(tmp_path_factory, authority):
    if not ceph.is_installed():
        unavailable("Ceph RGW", "apt-get install ceph-mon ceph-osd ceph-mgr radosgw")
    for attempts_left in (2, 1, 0):  # a port that was free when it was chosen may be taken when the cluster comes to it
        try:
            started = ceph.Rgw(tmp_path_factory.mktemp("ceph"), authority.certificate)
            break
        except AssertionError:
            if not attempts_left:
                raise
    try:
        asyncio.run(make_bucket(S3Server(started.endpoint, started.access_key, started.secret_key)))
        yield started
    finally:
        started.close()


@pytest.fixture(scope="session")
def rgw(ceph_cluster) -> S3Server:
    return S3Server(ceph_cluster.endpoint, ceph_cluster.access_key, ceph_cluster.secret_key)


@pytest.fixture(scope="session")
def rgw_tls(ceph_cluster, authority) -> S3Server:
    return S3Server(
        ceph_cluster.tls_endpoint, ceph_cluster.access_key, ceph_cluster.secret_key, ssl_context=authority.client
    )


@pytest.fixture
async def proxy(swift):
    """A proxy in front of Swift that can be told to fail."""
    async with Proxy(swift.endpoint) as started:
        yield started


@pytest.fixture
async def swift_tls(swift, authority):
    """Swift behind a proxy that ends TLS."""
    async with Proxy(swift.endpoint, tls=authority.server) as started:
        yield swift.at(started.url, ssl_context=authority.client)


def sha256(body):
    return hashlib.sha256(body).hexdigest()
