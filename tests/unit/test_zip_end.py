"""The end of a zip: whole ones are taken, whatever wrote them; those that are cut off or lost bytes are not."""

import hashlib
import io
import zipfile

import pytest
from hypothesis import given, strategies as st

from manifests.digest import ZIP_END, Hasher
from manifests.stat import Stat
from manifests.zip_end import WHOLE, ZipEnd
from syncd.core.errors import Mismatch
from syncd.engine.verdict import ReceivedFile, decide_verdict, hash_algorithms


def zipped(files, comment=b"", **more):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", **more) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.comment = comment
    return body.getvalue()


def end(body, piece=1 << 20):
    seen = ZipEnd()
    for at in range(0, len(body), piece):
        seen.update(memoryview(body)[at : at + piece])
    return seen.hexdigest()


ONE = zipped({"occurrence.txt": bytes(range(256)) * 600, "meta.xml": b"<archive/>"})


@pytest.mark.parametrize(
    "body",
    [
        ONE,
        zipped({}),
        zipped({"a": b"x"}, comment=b"PK\x05\x06 is how this begins"),
        zipped({"a": b"x"}, comment=bytes(65535)),
        b"#!/bin/sh\n" + ONE,  # one that unpacks itself
        zipped({str(n): b"" for n in range(70_000)}),  # more files than 16 bits can count
    ],
    ids=["plain", "empty", "misleading comment", "longest comment", "unpacks itself", "zip64"],
)
@pytest.mark.parametrize("piece", [1 << 20, 1000])
def test_a_whole_zip_is_whole_however_its_bytes_arrive(body, piece):
    assert end(body, piece) == WHOLE


def test_a_zip_of_more_than_four_gigabytes_is_told_by_its_64_bit_record():
    size = 943 << 30
    record = b"PK\x06\x06" + (44).to_bytes(8, "little") + bytes(12) + bytes(16) + (100).to_bytes(8, "little")
    tail = b"PK\x01\x02".ljust(100, b"\0") + record + size.to_bytes(8, "little") + b"PK\x06\x07" + bytes(16)
    tail += b"PK\x05\x06" + bytes(8) + b"\xff" * 8 + bytes(2)
    seen = ZipEnd()
    seen.update(tail)
    assert seen.hexdigest() == f"its directory should end at byte {size + 100}, but ends at 100: bytes are missing"
    seen._size += size
    assert seen.hexdigest() == WHOLE


@given(st.integers(0, len(ONE) - 1))
def test_one_that_is_cut_off_is_not(stop):
    assert end(ONE[:stop]) != WHOLE


@given(st.integers(0, len(ONE) - 200), st.integers(1, 100))
def test_one_that_lost_bytes_on_the_way_is_not(at, count):
    assert "bytes are missing" in end(ONE[:at] + ONE[at + count :])


@given(st.binary(max_size=300), st.integers(1, 50))
def test_whatever_comes_is_judged_and_the_pieces_make_no_difference(body, piece):
    body = body + b"PK\x05\x06" + body
    assert end(body, piece) == end(body)


def verdict(path, body, **promised):
    stat = Stat(path, digests=promised)
    names = hash_algorithms(stat.digests, path=path)
    hasher = Hasher(names)
    hasher.update(body)
    return decide_verdict(
        stat, ReceivedFile(Stat(path), len(body), hasher.hexdigests(), body[:1024], "", "https://x/")
    ), names


def test_only_a_zip_without_a_promise_is_looked_at():
    assert verdict("a.zip", ONE)[0] == "attested"
    assert verdict("a.nc", ONE[:-1])[1] == ("sha256", "xxh3-128")
    with pytest.raises(Mismatch, match=r"^a/B\.ZIP: no checksum is published, and the zip file is incomplete: it does"):
        verdict("a/B.ZIP", ONE[:-1])
    broken = ONE[:-500]
    found, names = verdict("a.zip", broken, md5=hashlib.md5(broken).hexdigest())
    assert found == "verified"
    assert ZIP_END not in names
