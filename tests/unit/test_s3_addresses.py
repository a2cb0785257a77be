"""Where a bucket answers, and what of a server's referral is followed."""

import asyncio

import pytest
from hypothesis import given, strategies as st

from syncd.core.errors import ConfigError, Denied
from transports.s3.bucket_address import BucketAddress, Referral, bucket_address, referral, referred_endpoint, region_of
from transports.s3.signing import Account, Signing

HOST = st.from_regex(r"[a-z]{1,8}(\.[a-z]{2,8}){1,3}", fullmatch=True)


def error(code, more="", text="so it is"):
    return f"<Error><Code>{code}</Code><Message>{text}</Message>{more}</Error>".encode()


@pytest.mark.parametrize(
    ("endpoint", "addressing", "origin", "base", "host"),
    [
        ("https://s3.example.org", "auto", "https://s3.example.org", "/b-1/", "s3.example.org"),
        ("https://s3.example.org/gw", "virtual", "https://b-1.s3.example.org", "/gw/", "b-1.s3.example.org"),
        ("https://s3.us-east-1.amazonaws.com", "auto", "https://b-1.s3.us-east-1.amazonaws.com", "/", ...),
        ("https://s3.us-east-1.amazonaws.com", "path", "https://s3.us-east-1.amazonaws.com", "/b-1/", ...),
        ("http://10.0.0.7:9000", "virtual", "http://10.0.0.7:9000", "/", "b-1.10.0.0.7:9000"),
        ("http://localhost:9000", "virtual", "http://localhost:9000", "/", "b-1.localhost:9000"),
    ],
)
def test_the_bucket_stands_in_the_path_or_in_the_host_name(endpoint, addressing, origin, base, host):
    found = bucket_address("b-1", endpoint, "r", addressing)
    assert (found.origin, found.base) == (origin, base)
    assert found.host == (origin.partition("://")[2] if host is ... else host)


def test_a_bucket_that_is_no_label_stays_in_the_path_unless_told():
    aws = "https://s3.eu-west-1.amazonaws.com"
    assert bucket_address("a.b", aws, "r", "auto").base == "/a.b/"
    assert bucket_address("a.b", aws, "r", "virtual").origin == "https://a.b.s3.eu-west-1.amazonaws.com"
    with pytest.raises(ConfigError, match="not an endpoint"):
        bucket_address("b", "ftp://x", "r", "auto")


@pytest.mark.parametrize(
    ("status", "headers", "document", "said"),
    [
        (400, {}, error("AuthorizationHeaderMalformed", "<Region>nl-ams</Region>"), Referral(region="nl-ams")),
        (400, {}, error("AuthorizationHeaderMalformed", text="wrong; expecting 'fr-par'"), Referral(region="fr-par")),
        (403, {"x-amz-bucket-region": "eu-1"}, b"", Referral(region="eu-1")),
        (400, {}, error("InvalidRegionName", text="Must be one of: wnam, auto"), Referral(region="auto")),
        (301, {}, error("PermanentRedirect", "<Endpoint>s3.eu.x.org</Endpoint>"), Referral(endpoint="s3.eu.x.org")),
        (403, {}, error("AccessDenied", "<Endpoint>oss-1.y.com</Endpoint>"), Referral(endpoint="oss-1.y.com")),
        (307, {"location": "https://b.s3-eu.x.org/key"}, b"", Referral(endpoint="b.s3-eu.x.org")),
        (403, {}, error("SecondLevelDomainForbidden"), Referral(is_virtual=True)),
        (403, {}, error("PathStyleDomainForbidden"), Referral(is_virtual=True)),
        (400, {}, error("AuthorizationHeaderMalformed", "<Region>a b\n../</Region>"), Referral()),
        (404, {}, error("NoSuchKey", "<Region>eu-1</Region>"), Referral()),
        (403, {}, b"<html>no", Referral()),
    ],
)
def test_an_error_says_where_the_bucket_is(status, headers, document, said):
    assert referral(status, headers, document) == said


def at(endpoint):
    return BucketAddress(endpoint, "/b/", "r", endpoint)


@pytest.mark.parametrize(
    ("here", "there", "followed"),
    [
        ("https://s3.wasabisys.com", "s3.eu-central-1.wasabisys.com", "https://s3.eu-central-1.wasabisys.com"),
        ("https://s3.amazonaws.com", "b.s3-eu-west-1.amazonaws.com", "https://s3-eu-west-1.amazonaws.com"),
        ("https://oss-a.aliyuncs.com", "oss-b.aliyuncs.com", "https://oss-b.aliyuncs.com"),
        ("http://s3.a.ac.uk:8080", "s4.a.ac.uk:8080", "http://s4.a.ac.uk:8080"),
        ("https://s3.wasabisys.com", "s3.wasabisys.com", ""),
        ("https://s3.wasabisys.com", "b.s3.wasabisys.com/", ""),
        ("https://s3.wasabisys.com", "user@s3.eu.wasabisys.com", ""),
        ("http://10.0.0.1:9000", "10.0.0.1:9000", ""),
    ],
)
def test_an_endpoint_of_the_same_provider_is_followed(here, there, followed):
    assert referred_endpoint("b", at(here), there) == followed


@pytest.mark.promise("P7")
@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("https://s3.wasabisys.com", "s3.wasabisys.com.evil.net"),
        ("https://s3.wasabisys.com", "evil.net"),
        ("https://s3.amazonaws.com", "x.us-east-1.elb.amazonaws.com"),
        ("https://s3.a.ac.uk", "s3.b.ac.uk"),
        ("https://s3.b.com.cn", "s3.c.com.cn"),
        ("http://127.0.0.1:9000", "127.0.0.1:9001"),
        ("http://10.0.0.1", "10.0.0.2"),
        ("https://s3.wasabisys.com", "s3.wasabisys.com:8443"),
    ],
)
def test_credentials_are_not_sent_to_another_provider(here, there):
    with pytest.raises(Denied, match="not of the same provider"):
        referred_endpoint("b", at(here), there)


@given(old=HOST, new=HOST)
def test_what_is_followed_shares_the_registered_domain_and_the_scheme(old, new):
    try:
        found = referred_endpoint("b", at(f"https://{old}"), new)
    except Denied:
        return
    assert not found or found == f"https://{new.removeprefix('b.')}"
    assert not found or found.removeprefix("https://").split(".")[-2:] == old.split(".")[-2:]


def test_a_region_is_read_from_the_name_of_an_endpoint_of_aws():
    for host in ("s3-eu-west-1", "s3.eu-west-1", "s3.dualstack.eu-west-1"):
        assert region_of(f"https://{host}.amazonaws.com") == "eu-west-1"
    assert region_of("https://s3.amazonaws.com") == region_of("https://s3.eu-1.wasabisys.com") == ""


async def test_a_referral_is_remembered_and_seen_by_requests_that_were_under_way():
    signing = Signing("b", Account(endpoint="https://s3.x.org", region="us-east-1", anonymous=True))
    used = await signing.place()
    moves = (signing.follow(Referral(region="eu-1", is_virtual=True), used) for _ in range(3))
    assert await asyncio.gather(*moves) == [True] * 3
    place = await signing.place()
    assert (place.origin, place.region) == ("https://b.s3.x.org", "eu-1")
    assert not await signing.follow(Referral(region="eu-1"), place)


async def test_addressing_that_is_set_is_not_changed():
    signing = Signing("b", Account(endpoint="https://s3.x.org", region="r", anonymous=True, addressing="path"))
    assert not await signing.follow(Referral(is_virtual=True), await signing.place())
