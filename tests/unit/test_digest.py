"""Digests: every algorithm in one pass, and every way of writing one."""

import base64
import hashlib
import zlib

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from manifests.digest import BY_LENGTH, KNOWN, OURS, Hasher, canonical, parse_digest


def of(body: bytes, *algorithms: str) -> dict[str, str]:
    hasher = Hasher(algorithms)
    hasher.update(body)
    return hasher.hexdigests()


def test_published_vectors_come_out():
    assert of(b"", "md5", "sha256", "adler32") == {
        "md5": "d41d8cd98f00b204e9800998ecf8427e",
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "adler32": "00000001",
    }
    assert of(b"123456789", "crc32") == {"crc32": "cbf43926"}
    assert of(b'{"hello": "world"}', "adler32")["adler32"] == base64.b64decode("OZkGFw==").hex()


@pytest.mark.parametrize(
    ("text", "algorithm"),
    [
        ("DUoRhQ==", "crc32"),
        ("Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "sha1"),
        ("uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=", "sha256"),
        ("RatnNLIeaWg=", "XXHASH64"),
        ("1Eex6kDmmIs=", "XXHASH3"),
        ("340J6T+HSQCpm4d1zBW2xw==", "XXHASH128"),
    ],
)
def test_what_s3_publishes_of_hello_world_is_what_we_compute(text, algorithm):
    parsed = parse_digest(text, algorithm)
    assert parsed is not None
    assert of(b"hello world", parsed[0])[parsed[0]] == parsed[1]


@given(st.lists(st.binary(max_size=5000), max_size=6))
def test_how_the_bytes_are_cut_does_not_change_a_digest(chunks):
    hasher = Hasher(KNOWN)
    for chunk in chunks:
        hasher.update(chunk)
    body = b"".join(chunks)
    found = hasher.hexdigests()
    assert found == of(body, *KNOWN)
    assert {name: len(value) // 2 for name, value in found.items()} == dict(KNOWN)
    assert found["sha256"] == hashlib.sha256(body).hexdigest()
    assert found["blake2b-256"] == hashlib.blake2b(body, digest_size=32).hexdigest()
    assert found["xxh3-128"] == xxhash.xxh3_128_hexdigest(body)
    assert found["crc32"] == f"{zlib.crc32(body):08x}"


def test_ours_are_known_and_an_unknown_algorithm_says_what_is():
    assert set(OURS) <= set(KNOWN)
    with pytest.raises(ValueError, match="'whirlpool': no algorithm of ours"):
        Hasher(["whirlpool"])


@pytest.mark.parametrize(
    ("written", "name"),
    [
        *((name, name) for name in KNOWN),
        *((name.upper(), name) for name in KNOWN),
        ("SHA2-256", "sha256"),
        ("SHA-256", "sha256"),
        ("sha_256", "sha256"),
        ("sha256sum", "sha256"),
        ("MD5SUMS", "md5"),
        ("sha", "sha1"),
        ("SHA-1", "sha1"),
        ("SHA3-256", "sha3-256"),
        ("sha3_512", "sha3-512"),
        ("BLAKE2b", "blake2b-512"),
        ("BLAKE2b-256", "blake2b-256"),
        ("BLAKE2B512", "blake2b-512"),
        ("b2sum", "blake2b-512"),
        ("XXH128", "xxh3-128"),
        ("xxh3_64", "xxh3-64"),
        ("SHA512/256", None),
        ("SHA2-512/256", None),
        ("BLAKE3", None),
        ("CRC32C", None),
        ("SM3", None),
        ("", None),
        ("sum", None),
    ],
)
def test_an_algorithm_has_one_name_however_it_is_written(written, name):
    assert canonical(written) == name


@given(st.sampled_from(sorted(KNOWN)), st.data())
def test_hex_and_base64_of_a_labelled_digest_say_the_same(algorithm, data):
    raw = data.draw(st.binary(min_size=KNOWN[algorithm], max_size=KNOWN[algorithm]))
    wanted = (algorithm, raw.hex())
    assert parse_digest(raw.hex(), algorithm) == wanted
    assert parse_digest(raw.hex().upper(), algorithm.upper()) == wanted
    text = base64.b64encode(raw).decode()
    assert parse_digest(text, algorithm) == wanted
    assert parse_digest(text.rstrip("="), algorithm) == wanted
    assert parse_digest(text + "==", algorithm) == wanted
    assert parse_digest(base64.urlsafe_b64encode(raw).decode(), algorithm) == wanted


@given(st.sampled_from(sorted(BY_LENGTH)), st.data())
def test_length_decides_where_no_label_stands(length, data):
    raw = data.draw(st.binary(min_size=length, max_size=length))
    assert parse_digest(raw.hex()) == (BY_LENGTH[length], raw.hex())
    if length % 3:
        assert parse_digest(base64.b64encode(raw).decode()) == (BY_LENGTH[length], raw.hex())


@pytest.mark.parametrize(
    ("value", "algorithm"),
    [
        ("", None),
        ("", "md5"),
        ("null", "sha256"),
        ("Not provided", None),
        ("d41d8cd98f00b204e9800998ecf8427", "md5"),
        ("d41d8cd98f00b204e9800998ecf8427e", "sha256"),
        ("d41d8cd98f00b204e9800998ecf8427e", "tiger"),
        ("d41d8cd98f00b204e9800998ecf8427e-14", None),
        ("AVeryLongWordWithoutAn", None),
        ("1B2M2Y8AsgTpgAmY7PhCfg", None),
        ("٣" * 32, None),
        ("é" * 24, "md5"),
    ],
)
def test_a_value_that_cannot_be_a_digest_is_absent(value, algorithm):
    assert parse_digest(value, algorithm) is None


@given(st.text(max_size=140), st.none() | st.text(max_size=12) | st.sampled_from(sorted(KNOWN)))
def test_parsing_never_raises(value, algorithm):
    parsed = parse_digest(value, algorithm)
    assert parsed is None or len(parsed[1]) == 2 * KNOWN[parsed[0]]
