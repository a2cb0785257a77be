"""Secrets are left out by where they stand and by having been read, and ordinary words stay."""

import base64

import pytest

from syncd.core.errors import Denied, TransientError
from syncd.core.redaction import HIDDEN, PASSING, Secrets, of_environment, redact

SIGNED = [
    "https://b.s3.amazonaws.com/k?X-Amz-Credential=SWORDFISH&X-Amz-Signature=SWORDFISH&X-Amz-Expires=1",
    "https://storage.googleapis.com/b/k?X-Goog-Signature=SWORDFISH&X-Goog-Credential=SWORDFISH",
    "https://x.blob.core.windows.net/c/k?se=2027&sp=r&sig=SWORDFISH",
    "https://b.oss-cn-beijing.aliyuncs.com/k?OSSAccessKeyId=SWORDFISH&Expires=1&Signature=SWORDFISH",
    "https://obs.example/k?AccessKeyId=SWORDFISH&x-obs-security-token=SWORDFISH",
    "https://d.cloudfront.net/k?Policy=SWORDFISH&Signature=SWORDFISH&Key-Pair-Id=SWORDFISH",
    "https://cdn.example/k?auth_key=SWORDFISH",
    "https://cdn.example/k?hdnea=SWORDFISH",
    "https://api.example/k?client_secret=SWORDFISH;api_key=SWORDFISH",
    "https://me:SWORDFISH@h/x",
    "https://me:SWORDFISH/1+2@h/x",
    "'Authorization': 'Basic SWORDFISH=='",
    "WWW-Authenticate said Bearer SWORDFISH.abc",
]


@pytest.mark.parametrize("text", SIGNED)
def test_what_every_failure_says_holds_no_secret(text):
    for said in (str(Denied(f"a: {text}")), str(TransientError(f"a: {text}", retry_after=1.0)), redact(text)):
        assert "SWORDFISH" not in said
        assert HIDDEN in said


@pytest.mark.parametrize(
    "text",
    [
        "a: upstream announces neither a length nor a checksum, so completeness cannot be verified",
        "basic authentication is wanted, bearer credentials are set",
        "https://h/x?page=2&size=100",
        "https://h/~user/a@b.txt",
        "https://h:8080/~user/a@b.txt",
        "data/Token.nc: sha256 published, the md5 differs",
        "a: no cookie is kept",
    ],
)
def test_ordinary_words_stay(text):
    assert redact(text) == text


@pytest.mark.promise("P10")
def test_a_credential_is_left_out_in_every_form_in_which_it_travels():
    secrets = Secrets()
    secrets.learn_credential("me", "p@ss/word", "session-token")
    pair = base64.b64encode(b"me:p@ss/word").decode()
    shown = secrets.redact(f"p@ss/word {pair} p%40ss%2Fword session-token")
    assert shown == " ".join([HIDDEN] * 4)


def test_a_secret_within_another_leaves_nothing_of_it():
    assert Secrets(["correct", "correct-horse"]).redact("correct-horse correct") == f"{HIDDEN} {HIDDEN}"


def test_the_environment_tells_its_secrets_by_their_names():
    environ = {
        "AWS_SECRET_ACCESS_KEY": "SWORDFISH1",
        "PORTAL_TOKEN": "SWORDFISH2",
        "AWS_SHARED_CREDENTIALS_FILE": "/home/me/keys",
        "CREDENTIALS_DIRECTORY": "/run/credentials/syncd",
        "HOME": "/home/me/in-peace",
        "TOKEN": "short",
    }
    text = "SWORDFISH1 SWORDFISH2 /home/me/keys /run/credentials/syncd /home/me/in-peace short"
    shown = of_environment(environ).redact(text)
    assert shown == text.replace("SWORDFISH1", HIDDEN).replace("SWORDFISH2", HIDDEN)


def test_of_tokens_that_live_for_minutes_the_newest_are_left_out_and_not_all_there_ever_were():
    secrets = Secrets(["correct-horse"])
    for number in range(PASSING + 1):
        secrets.learn_for_now(f"token-{number:04}")
    assert secrets.redact("token-0000") == "token-0000"
    assert secrets.redact(f"token-0001 token-{PASSING:04} correct-horse") == f"{HIDDEN} {HIDDEN} {HIDDEN}"
