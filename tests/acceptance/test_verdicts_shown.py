"""How much of a copy is verified, and by whose checksums, is shown by each door."""

import hashlib
import json

from tests.acceptance.cli import Folder, run, sync
from tests.daemons import House


def upstream(folder):
    folder.mkdir(parents=True)
    (folder / "a.nc").write_bytes(b"data")
    (folder / "b.nc").write_bytes(b"more data")
    lines = [f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.name}\n" for one in sorted(folder.glob("*.nc"))]
    (folder / "SHA256SUMS").write_text("".join(lines))
    return f"file://{folder}/"


def test_status_and_verify_say_how_much_is_verified_and_by_whom(tmp_path):
    url = upstream(tmp_path / "www")
    store, state, manifest = Folder(tmp_path / "store"), tmp_path / "state", tmp_path / "m.yaml"
    manifest.write_text(
        f"mirror: m\nsource: {{url: '{url}', reader: checksums, checksums: [SHA256SUMS], settle: 0s}}\n"
    )
    sync(store, state, manifest)
    expected = [
        {"verdict": "verified", "by": url, "files": 2, "bytes": 13},
        {"verdict": "attested", "by": "", "files": 1, "bytes": (tmp_path / "www/SHA256SUMS").stat().st_size},
    ]
    (told,) = json.loads(run(store, state, "status", "--json"))
    assert told["verdicts"] == expected
    assert "67 %" in run(store, state, "status")
    assert json.loads(run(store, state, "verify", "m", "--json"))["verdicts"] == expected
    text = run(store, state, "verify", "m")
    assert f"verified: 2 files, 13 B: by the checksums of {url}" in text
    assert "attested: 1 file" in text


async def test_a_running_daemon_counts_verdicts_when_a_pass_ends(tmp_path):
    house = House(tmp_path)
    house.archive("m", {"a": b"1", "b": b"22"})
    house.declare("m")
    async with house.living():
        await house.until(lambda: house.control.mirror("m").files == 2)
        (one,) = house.control.mirror("m").verdicts
        assert (one.verdict, one.by, one.files, one.bytes) == ("attested", "", 2, 3)
