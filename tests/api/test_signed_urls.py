"""Signed URLs: every changed part is noticed, no key signs for another purpose, and links end."""

import stat
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from syncd.api.auth.signed_urls import (
    LONGEST_LIFE,
    ROTATION,
    UrlGrant,
    UrlKey,
    UrlKeys,
    UrlRefused,
    rotated,
    sign_url,
    verify_url,
)

NOW = 1_780_000_000
HOST = "data.example.org"
KEY = UrlKey("11" * 32, NOW)
OTHER = UrlKey("22" * 32, NOW)
FILE = UrlGrant("landsat", "ab" * 32, "2026/scene 1.tif", NOW + 3_600, "ihep")


def refused(query, *, host=HOST, mirror=FILE.mirror, snapshot=FILE.snapshot, path=FILE.path, keys=(KEY,), now=NOW):
    with pytest.raises(UrlRefused) as found:
        verify_url(query, host, mirror, snapshot, path, keys, now)
    return found.value.why


def test_a_link_opens_its_path_and_tells_in_whose_name():
    query = sign_url(FILE, HOST, KEY, NOW)
    assert verify_url(query, HOST.upper(), FILE.mirror, FILE.snapshot, FILE.path, (OTHER, KEY), NOW) == FILE


def test_a_link_ends_and_its_end_is_part_of_the_signature():
    query = sign_url(FILE, HOST, KEY, NOW)
    assert refused(query, now=FILE.until) == "expired"
    assert refused({**query, "exp": str(FILE.until + 1)}) == "forged"
    assert refused({**query, "exp": f"0{FILE.until}"}) == "malformed"
    assert refused({**query, "exp": f"{FILE.until}.0"}) == "malformed"
    with pytest.raises(ValueError, match="lives up to"):
        sign_url(UrlGrant("m", "s", "p", NOW + LONGEST_LIFE + 1, "x"), HOST, KEY, NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"host": "evil.example.org"},
        {"mirror": "modis"},
        {"snapshot": "cd" * 32},
        {"path": "2026/scene 2.tif"},
        {"path": "2026/scene 1.tif/x"},
        {"path": ""},
    ],
)
def test_a_link_is_for_nothing_else(changed: dict[str, str]):
    assert refused(sign_url(FILE, HOST, KEY, NOW), **changed) == "forged"


def test_every_parameter_is_covered_by_the_signature():
    query = sign_url(FILE, HOST, KEY, NOW)
    assert refused({**query, "by": "another"}) == "forged"
    assert refused({**query, "prefix": ""}) == "forged"
    assert refused({**query, "prefix": "2026/"}) == "forged"
    assert refused({**query, "prefix": "2026"}) == "malformed"
    assert refused({**query, "sig": query["sig"][:-1]}) == "forged"
    assert refused({**query, "sig": ""}) == "forged"
    assert refused({**query, "sig": "é"}) == "forged"
    for name in query:
        assert refused({key: value for key, value in query.items() if key != name}) in {
            "malformed",
            "unknown key",
            "forged",
        }


def test_a_link_of_a_folder_opens_what_is_below_it_only():
    folder = UrlGrant("landsat", FILE.snapshot, "2026/", NOW + 60, "ihep")
    query = sign_url(folder, HOST, KEY, NOW)
    assert verify_url(query, HOST, "landsat", FILE.snapshot, FILE.path, (KEY,), NOW) == folder
    assert refused(query, path="2027/scene.tif") == "elsewhere"
    assert refused(query, path="2026") == "elsewhere"
    assert refused({key: one for key, one in query.items() if key != "prefix"}) == "forged"


def test_another_key_does_not_open_and_no_key_passes_for_another():
    query = sign_url(FILE, HOST, KEY, NOW)
    assert refused(query, keys=(OTHER,)) == "unknown key"
    assert refused({**query, "kid": OTHER.kid}, keys=(OTHER, KEY)) == "forged"
    assert refused(query, keys=()) == "unknown key"


names = st.text('abc/\n",[] ', max_size=6)


@given(names, names, names, names, names, names)
def test_no_two_grants_have_one_signature(a: str, b: str, c: str, d: str, e: str, f: str):
    one, two = UrlGrant(a, b, c, NOW + 9, "p"), UrlGrant(d, e, f, NOW + 9, "p")
    assert (one == two) == (sign_url(one, HOST, KEY, NOW)["sig"] == sign_url(two, HOST, KEY, NOW)["sig"])


def test_a_key_is_replaced_and_verifies_until_its_last_link_has_ended():
    keys = rotated((KEY,), NOW + ROTATION)
    assert keys[1] == KEY
    assert keys[0].made == NOW + ROTATION
    assert KEY not in rotated(keys, NOW + ROTATION + LONGEST_LIFE)
    assert rotated((KEY,), NOW + ROTATION - 1) == (KEY,)


def test_keys_are_kept_in_a_file_of_the_service_alone_and_shared_by_its_processes(tmp_path: Path):
    one, two = UrlKeys(tmp_path), UrlKeys(tmp_path)
    key = one.signing(NOW)
    assert stat.S_IMODE((tmp_path / "url-keys.json").stat().st_mode) == 0o600
    assert two.signing(NOW + 1) == key
    later = two.signing(NOW + ROTATION)
    assert later != key
    assert one.verifying(later.kid, NOW + ROTATION) == (later, key)
    assert UrlKeys(tmp_path).verifying(key.kid, NOW + ROTATION) == (later, key)
    assert [one.name for one in tmp_path.iterdir()] == ["url-keys.json"]


def test_a_lost_or_broken_file_ends_links_and_nothing_else(tmp_path: Path):
    keys = UrlKeys(tmp_path)
    key = keys.signing(NOW)
    (tmp_path / "url-keys.json").write_bytes(b'[{"key": "x"')
    assert UrlKeys(tmp_path).verifying(key.kid, NOW) == ()
    assert UrlKeys(tmp_path).signing(NOW) != key
