"""`syncd diff --content`, and the daemon's answer: what changed inside files, from whichever place keeps their bytes."""

import json

from tests.acceptance.cli import Folder, run, sync
from tests.daemons import House

BEFORE = {"k1.json": b'{"uncertainty": 0.5, "unit": "V"}', "a.bin": b"\xff\xfe\x00", "big.txt": b"x" * (2 << 20)}
AFTER = {"k1.json": b'{"uncertainty": 0.4, "unit": "V"}', "a.bin": b"\xff\xfe\x01", "big.txt": b"y" * (2 << 20)}
TOLD = {
    "k1.json": ([{"where": "uncertainty", "before": "0.5", "after": "0.4"}], ""),
    "a.bin": ([], "no text: not compared"),
    "big.txt": ([], "larger than 1 MiB: not compared"),
}


def test_a_comparison_of_snapshots_tells_what_changed_inside_small_files(tmp_path):
    folder, store, state = tmp_path / "www", Folder(tmp_path / "store"), tmp_path / "state"
    folder.mkdir()
    manifest = tmp_path / "m.yaml"
    manifest.write_text(f"mirror: m\nsource: {{url: 'file://{folder}/', settle: 0s}}\n")
    ids = []
    for files in (BEFORE, AFTER, {"k1.json": b'{"uncertainty": 0.3, "unit": "V"}'}):
        for path, content in files.items():
            (folder / path).write_bytes(content)
        ids.append(sync(store, state, manifest)["snapshot"])
    told = json.loads(run(store, state, "diff", "m", ids[0], ids[1], "--content", "--json"))
    assert {one["path"]: (one["content"], one["content_note"]) for one in told["changes"]} == TOLD
    assert "           uncertainty: 0.5 → 0.4\n" in run(store, state, "diff", "m", ids[0], ids[1], "--content")
    assert "uncertainty: 0.4 → 0.3" in run(store, state, "diff", "m", ids[1], ids[2], "--content")
    plain = json.loads(run(store, state, "diff", "m", ids[0], ids[1], "--json"))
    assert plain["changes"][0] == {"path": "a.bin", "change": "changed"}


async def test_a_daemon_tells_what_changed_inside_files_if_asked(tmp_path):
    house = House(tmp_path)
    house.archive("m", BEFORE)
    house.declare("m")
    async with house.living():
        await house.until(lambda: house.control.mirror("m").files == 3)
        first = house.control.mirror("m").snapshot
        house.archive("m", AFTER)
        await house.control.sync("m", "test")
        await house.until(lambda: house.control.mirror("m").snapshot not in {"", first})
        after = house.control.mirror("m").snapshot
        found = await house.control.diff("m", first, after, content=True)
        inside = {one.path: ([each.where for each in one.content], one.content_note) for one in found.changes}
        assert inside == {path: ([each["where"] for each in lines], note) for path, (lines, note) in TOLD.items()}
        plain = await house.control.diff("m", first, after)
        assert all(not one.content and not one.content_note for one in plain.changes)
