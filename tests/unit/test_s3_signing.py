"""Who we are to an S3 server and where it is: found by boto3, signed as botocore signs, sent nowhere else."""

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from syncd.core.errors import ConfigError, Denied
from syncd.core.ports import Credential
from transports.s3.bucket_address import Referral
from transports.s3.client import split_url
from transports.s3.signing import EMPTY, UNSIGNED, Account, Signing
from transports.s3.transport import open_transport

KEY = Credential("c", "s3://my-bucket", "s3", "SECRET", username="AKID")


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path, monkeypatch):
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.mark.parametrize(
    ("bucket", "account", "origin", "base"),
    [
        ("my-bucket", {"region": "eu-west-1"}, "https://my-bucket.s3.eu-west-1.amazonaws.com", "/"),
        ("my-bucket", {"region": "cn-north-1"}, "https://my-bucket.s3.cn-north-1.amazonaws.com.cn", "/"),
        ("my.bucket", {"region": "eu-west-1"}, "https://s3.eu-west-1.amazonaws.com", "/my.bucket/"),
        ("my-bucket", {"endpoint": "https://s3.example.org:443/"}, "https://s3.example.org", "/my-bucket/"),
        ("my-bucket", {"endpoint": "http://127.0.0.1:9000/gate"}, "http://127.0.0.1:9000", "/gate/my-bucket/"),
    ],
)
async def test_a_bucket_is_at_its_own_host_on_aws_and_in_the_path_elsewhere(bucket, account, origin, base):
    place = await Signing(bucket, Account(**account)).place()
    assert (place.origin, place.base) == (origin, base)


async def test_a_region_comes_from_the_manifest_then_from_the_profile_then_is_the_first_of_all(tmp_path):
    (tmp_path / "config").write_text("[profile lab]\nregion = eu-central-1\n")
    assert (await Signing("b-b", Account(region="eu-west-1", profile="lab")).place()).region == "eu-west-1"
    assert (await Signing("b-b", Account(profile="lab")).place()).region == "eu-central-1"
    assert (await Signing("b-b", Account()).place()).region == "us-east-1"


async def test_a_bucket_that_turns_out_to_be_elsewhere_is_looked_for_there():
    signing = Signing("my-bucket", Account())
    assert await signing.follow(Referral(region="eu-north-1"), await signing.place())
    assert (await signing.place()).origin == "https://my-bucket.s3.eu-north-1.amazonaws.com"
    assert not await signing.follow(Referral(region="eu-north-1"), await signing.place())


@pytest.mark.parametrize("endpoint", ["s3.example.org", "ftp://x", "https://", "https://x/?a=b"])
async def test_what_is_no_endpoint_is_refused(endpoint):
    with pytest.raises(ConfigError, match="not an endpoint"):
        await Signing("b-b", Account(endpoint=endpoint)).place()


async def test_a_profile_that_does_not_exist_is_named():
    with pytest.raises(ConfigError, match="nobody"):
        await Signing("b-b", Account(profile="nobody")).place()


@pytest.mark.parametrize("token", ["", "SESSION"])
@pytest.mark.parametrize("payload", [EMPTY, UNSIGNED])
async def test_a_signature_is_the_one_botocore_makes(token, payload):
    credential = Credential("c", "s3://my-bucket", "s3", "SECRET", username="AKID", token=token)
    signing = Signing(
        "my-bucket", Account(endpoint="https://s3.example.org", region="eu-west-1", credential=credential)
    )
    target = "/my-bucket/a%20b/%C3%BC?partNumber=1&uploadId=x~y"
    for _ in range(2):  # the second time with the day's key kept
        headers = {"Content-MD5": "abc", "x-amz-meta-sha256": "ab  c"}
        await signing.sign("PUT", target, headers, payload, await signing.place())

    class AsIs(auth.S3SigV4Auth):
        def payload(self, request):
            return payload

        def _set_necessary_date_headers(self, request):
            request.context["timestamp"] = headers["X-Amz-Date"]
            super()._set_necessary_date_headers(request)

    theirs = AWSRequest("PUT", f"https://s3.example.org{target}", headers={"x-amz-meta-sha256": "ab  c"})
    AsIs(ReadOnlyCredentials("AKID", "SECRET", token or None), "s3", "eu-west-1").add_auth(theirs)
    assert headers["Authorization"] == theirs.headers["Authorization"]
    assert headers.get("X-Amz-Security-Token", "") == token


async def test_nothing_is_signed_for_an_anonymous_reader():
    headers = {}
    signing = Signing("b-b", Account(endpoint="https://x", region="r", anonymous=True))
    await signing.sign("GET", "/", headers, EMPTY, await signing.place())
    assert headers == {}


async def test_a_missing_credential_is_denied_with_what_to_do():
    signing = Signing("b-b", Account(endpoint="https://x", region="r"))
    with pytest.raises(Denied, match="AWS_PROFILE"):
        await signing.sign("GET", "/", {}, EMPTY, await signing.place())


async def test_a_profile_is_used_and_asked_again_when_it_expired(tmp_path):
    (tmp_path / "credentials").write_text("[lab]\naws_access_key_id = AKLAB\naws_secret_access_key = S\n")
    signing = Signing("b-b", Account(endpoint="https://x", region="r", profile="lab"))
    headers = {}
    spent = await signing.sign("GET", "/", headers, EMPTY, await signing.place())
    assert "Credential=AKLAB/" in headers["Authorization"]
    (tmp_path / "credentials").write_text("[lab]\naws_access_key_id = AKNEW\naws_secret_access_key = S\n")
    assert await signing.renew(spent, "ExpiredToken")
    await signing.sign("GET", "/", headers, EMPTY, await signing.place())
    assert "Credential=AKNEW/" in headers["Authorization"]


@pytest.mark.parametrize("origin", ["https://other.example", "s3://other-bucket"])
async def test_a_credential_is_used_at_its_own_place_only(origin):
    credential = Credential("c", origin, "s3", "SECRET", username="AKID")
    with pytest.raises(Denied, match=origin):
        await Signing("my-bucket", Account(endpoint="https://x", region="r", credential=credential)).place()
    mine = Credential("c", "https://x", "s3", "SECRET", username="AKID")
    assert (
        await Signing("my-bucket", Account(endpoint="https://x", region="r", credential=mine)).place()
    ).region == "r"


async def test_an_http_credential_is_no_s3_key():
    credential = Credential("c", "s3://my-bucket", "bearer", "SECRET")
    signing = Signing("my-bucket", Account(endpoint="https://x", region="r", credential=credential))
    place = await signing.place()
    with pytest.raises(Denied, match="not for S3"):
        await signing.sign("GET", "/", {}, EMPTY, place)


def test_an_s3_url_is_a_bucket_and_a_prefix_that_ends_in_a_slash():
    assert split_url("s3://b") == ("b", "")
    assert split_url("s3://b/") == ("b", "")
    assert split_url("s3://b/a/b") == ("b", "a/b/")
    for bad in ("b/a", "s3://", "s3:///a", "s3://b//a", "s3://k:s@b/", "s3://b/?x", "http://b/"):
        with pytest.raises(ValueError, match="s3://bucket/prefix/"):
            split_url(bad)


@pytest.mark.parametrize(("url", "is_sent"), [("s3://other/key", False), ("s3://my-bucket/elsewhere", True)])
async def test_a_credential_that_is_bound_to_a_bucket_is_not_used_for_another(url, is_sent):
    source = open_transport(
        "s3://my-bucket/folder/",
        options={"region": "eu-west-1", "endpoint": "https://s3.example.org"},
        credential=KEY,
        allow_private=frozenset(),
        user_agent="tests",
    )
    there, key = source._elsewhere(url)
    assert (there.bucket.name, key) == tuple(url.removeprefix("s3://").split("/"))
    account = there.bucket._signing._account
    assert (account.credential, account.endpoint) == (KEY if is_sent else None, "https://s3.example.org")
    assert source._elsewhere(url)[0] is there
    await source.aclose()
