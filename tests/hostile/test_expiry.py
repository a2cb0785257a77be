"""When certificates and credentials stop being valid is known before they do, from what is used anyway."""

import base64
import json

import pytest
from cryptography.x509 import load_pem_x509_certificates

from syncd.config.secrets import expiry_of
from syncd.core.ports import Credential
from syncd.wrappers.governed_transport import GovernedTransport
from syncd.wrappers.governors import KNOWN, Governors
from tests.hostile.http_case import at, hostile
from tests.hostile.server import HostileServer


def token(claims, middle=None):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'RS256'})}.{middle if middle is not None else part(claims)}.c2lnbmF0dXJl"


def until(authority):
    """When the server's certificate ends, as another library reads it."""
    return load_pem_x509_certificates(authority.certificate.read_bytes())[0].not_valid_after_utc.timestamp()


async def test_the_certificate_of_every_origin_that_was_asked_is_known_and_stays_known(authority):
    async with (
        HostileServer({"x": b"1"}, ssl_context=authority.server) as server,
        at(server, ssl_context=authority.client) as transport,
    ):
        governors = Governors()
        governed = GovernedTransport(transport, governors, server.url())
        assert governors.certificates() == {}
        async with governed.open("x") as body:
            assert [chunk async for chunk in body] == [b"1"]
        known = {server.origin: until(authority)}
        assert governors.certificates() == known
        await governed.aclose()
        assert governors.certificates() == known


async def test_an_origin_without_tls_has_none():
    async with hostile({"x": b"1"}) as (server, transport):
        governors = Governors()
        governed = GovernedTransport(transport, governors, server.url())
        async with governed.open("x"):
            pass
        assert governors.certificates() == {}
        await governed.aclose()


def test_certificates_are_remembered_of_so_many_origins_and_no_more():
    governors = Governors()
    shown = {f"https://{number}": float(number) for number in range(KNOWN + 5)}
    governors.watch(shown)
    governors.unwatch(shown)
    assert len(governors.certificates()) == KNOWN


@pytest.mark.parametrize(
    ("secret", "scheme", "expected"),
    [
        (token({"exp": 1_800_000_000, "uid": "me"}), "bearer", 1_800_000_000.0),
        (token({"uid": "me"}), "bearer", None),
        (token({"exp": "soon"}), "bearer", None),
        (token({}, middle="###"), "bearer", None),
        (token({}, middle="YQ"), "bearer", None),
        ("a-plain-key", "bearer", None),
        ("two.dots.only", "bearer", None),
        (token({"exp": 1_800_000_000}), "header", None),
    ],
)
def test_a_token_that_says_when_it_ends_is_believed_and_others_are_left_alone(secret, scheme, expected):
    assert expiry_of(Credential("c", "https://h", scheme, secret)) == expected
