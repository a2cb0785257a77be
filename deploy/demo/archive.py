"""A small foreign archive: scenes named as Landsat names its own, filled with noise, the same on every machine.

Three scenes of fourteen files, some 150 MB, with one SHA256SUMS over all of them, as a publisher would keep it.
"""

import hashlib
import random
from pathlib import Path

SUMS = "SHA256SUMS"
KB, MB = 1_000, 1_000_000

SCENES = ("2026/LC08_193026_20260612", "2026/LC09_193026_20260620", "2027/LC08_194026_20270104")
LATE_SCENE = "2027/LC09_194026_20270112"

_BANDS = {
    "B1.TIF": 3 * MB,
    "B2.TIF": 3 * MB,
    "B3.TIF": 3 * MB,
    "B4.TIF": 4 * MB,
    "B5.TIF": 4 * MB,
    "B6.TIF": 3 * MB,
    "B7.TIF": 3 * MB,
    "B8.TIF": 20 * MB,
    "B9.TIF": 2 * MB,
    "B10.TIF": 2 * MB,
    "QA_PIXEL.TIF": 400 * KB,
    "ANG.txt": 110 * KB,
    "thumb.jpeg": 24 * KB,
    "MTL.txt": 1 * KB,
}


def build(root: Path) -> None:
    """Write the whole archive below `root`."""
    for scene in SCENES:
        for band, size in _BANDS.items():
            _write(root, _path(scene, band), size)
    _publish(root)


def change(root: Path) -> tuple[str, str, str]:
    """Do what publishers do: replace one file, add one, drop one. Returns their paths, in this order."""
    replaced, added, dropped = _path(SCENES[0], "B4.TIF"), _path(LATE_SCENE, "B4.TIF"), _path(SCENES[1], "thumb.jpeg")
    _write(root, replaced, 4 * MB + 512, edition=2)
    _write(root, added, 4 * MB)
    (root / dropped).unlink()
    _publish(root)
    return replaced, added, dropped


def _path(scene: str, band: str) -> str:
    return f"{scene}/{scene.rsplit('/', 1)[-1]}_{band}"


def _write(root: Path, path: str, size: int, edition: int = 1) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(random.Random(f"{path} {edition}").randbytes(size))


def _publish(root: Path) -> None:
    """Write the checksum list over everything that is there."""
    lines = []
    for file in sorted(root.rglob("*")):
        if file.is_file() and file.name != SUMS:
            with file.open("rb") as stream:
                lines.append(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {file.relative_to(root)}\n")
    (root / SUMS).write_text("".join(lines))
