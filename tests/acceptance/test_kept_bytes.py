"""What a kept snapshot names is never lost, however often a file comes and goes."""

from tests.acceptance.mirroring import Mirroring
from tests.fakes import Archive


def many(**files):
    """Enough files that the guard lets one of them go."""
    return {f"f{n:02}": b"x%d" % n for n in range(20)} | files


def aside(mirroring):
    """What lies under `.syncd/versions/scenes/`."""
    root = mirroring.store_folder / ".syncd/versions/scenes"
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


async def come_and_go(mirroring, *contents):
    """Let `latest` be each of these, one after another; None is absent."""
    seen = []
    for content in contents:
        mirroring.archive.files.pop("latest", None)
        if content is not None:
            mirroring.archive.files["latest"] = content
        seen.append((await mirroring.run()).snapshot)
    return seen


async def test_a_removed_file_past_its_time_lies_aside_under_a_snapshot_that_names_it(tmp_path):
    mirroring = Mirroring(tmp_path, Archive(many()), guard="10%")
    first, _ = await come_and_go(mirroring, b"c1", None)
    mirroring.now += 31 * 86400
    await mirroring.run()
    assert aside(mirroring) == {f"{first}/latest": b"c1"}
    assert "latest" not in mirroring.natural()
