"""Digests: every algorithm in one pass, and every way of writing one."""

import base64
import hashlib
import zlib

import pytest
import xxhash
from hypothesis import given, strategies as st

from manifests.digest import BY_LENGTH, KNOWN, OURS, Hasher, canonical, could_be_cut, parse_digest, parse_multihash


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
    assert of(b"123456789", "crc32", "crc32c", "crc64nvme") == {
        "crc32": "cbf43926", "crc32c": "e3069283", "crc64nvme": "ae8b14860a799888"
    }  # fmt: skip
    assert of(b"", "blake3")["blake3"] == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert of(b"", "sha512-256")["sha512-256"] == "c672b8d1ef56ed28ab87c3622c5114069bdd3ad7b8f9737498d0c01ecef0967a"
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
    with pytest.raises(ValueError, match="'whirlpool': unknown checksum algorithm"):
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
        ("SHA512/256", "sha512-256"),
        ("SHA2-512/256", "sha512-256"),
        ("BLAKE3", "blake3"),
        ("b3sum", "blake3"),
        ("CRC-32C", "crc32c"),
        ("crc64-nvme", "crc64nvme"),
        ("Adler-32", "adler32"),
        ("CRC-64", None),
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
    assert parse_digest(f"0x{raw.hex()}", algorithm) == wanted
    assert parse_digest(base64.urlsafe_b64encode(raw).decode(), algorithm) == wanted


@given(st.sampled_from(sorted(BY_LENGTH)), st.data())
def test_length_decides_where_no_label_stands(length, data):
    raw = data.draw(st.binary(min_size=length, max_size=length))
    assert parse_digest(raw.hex()) == (BY_LENGTH[length], raw.hex())
    if length % 3:
        assert parse_digest(base64.b64encode(raw).decode()) == (BY_LENGTH[length], raw.hex())


def test_what_the_label_says_is_tried_before_what_it_might_have_meant():
    assert parse_digest("A" * 64, "sha384") == ("sha384", "00" * 48)
    assert parse_digest("A" * 64, "sha256") == ("sha256", "a" * 64)


@pytest.mark.parametrize("label", ["md5", "MD5", "sha1", "SHA-256", "sha512", "sha2"])
@given(st.sampled_from(sorted(BY_LENGTH)), st.data())
def test_length_decides_where_a_label_lies(label, length, data):
    raw = data.draw(st.binary(min_size=length, max_size=length))
    assert parse_digest(raw.hex(), label) == (BY_LENGTH[length], raw.hex())


@pytest.mark.parametrize(
    ("family", "bits", "name"), [("SHA-2", 384, "sha384"), ("SHA3", 256, "sha3-256"), ("blake2b", 160, "blake2b-160")]
)
def test_a_label_that_names_a_family_leaves_the_rest_to_the_length(family, bits, name):
    assert parse_digest("ab" * (bits // 8), family) == (name, "ab" * (bits // 8))


MULTICODEC = {
    "sha1": "11", "sha256": "12", "sha512": "13", "sha3-256": "16", "md5": "d501", "blake3": "1e", "sha384": "20",
    "blake2b-256": "a0e402", "crc32": "b202", "sha512-256": "9520", "xxh3-128": "e4e702",
}  # fmt: skip


@given(st.sampled_from(sorted(MULTICODEC)), st.data())
def test_a_multihash_says_its_algorithm_and_its_length(name, data):
    raw = data.draw(st.binary(min_size=KNOWN[name], max_size=KNOWN[name]))
    value = f"{MULTICODEC[name]}{KNOWN[name]:02x}{raw.hex()}"
    assert parse_multihash(value) == parse_multihash(value.upper()) == (name, raw.hex())
    assert parse_multihash(value[:-2]) is None
    assert parse_multihash(value + "00") is None
    assert not could_be_cut(value)
    cut = f"{MULTICODEC[name]}{KNOWN[name] - 1:02x}{raw.hex()[:-2]}"
    assert parse_multihash(cut) is None
    assert could_be_cut(cut)


@pytest.mark.parametrize(
    "digest", ["ab" * 31 + " a", "ab" * 31 + "a_", "１" * 64, "ab" * 31 + "x1", " " * 64, "ab" * 31 + "é1"]
)
def test_a_multihash_of_the_right_length_with_another_character_is_absent(digest):
    assert parse_multihash(f"1220{digest}") is None
    assert parse_multihash(f"1220{'aB' * 32}") == ("sha256", "ab" * 32)


@given(st.text("0123456789abcdefABCDEFx ", max_size=140))
def test_what_is_no_multihash_is_absent(value):
    parsed = parse_multihash(value)
    assert parsed is None or len(parsed[1]) == 2 * KNOWN[parsed[0]]
    could_be_cut(value)


@pytest.mark.parametrize(
    ("value", "algorithm"),
    [
        ("", None),
        ("", "md5"),
        ("null", "sha256"),
        ("Not provided", None),
        ("d41d8cd98f00b204e9800998ecf8427", "md5"),
        ("d41d8cd98f00b204e9800998ecf8427e", "sha3"),
        ("d41d8cd98f00b204e9800998ecf8427e", "crc32"),
        ("d41d8cd98f00b204e9800998ecf8427e", "tiger"),
        ("1B2M2Y8AsgTpgAmY7PhCfg", "sha256"),
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
