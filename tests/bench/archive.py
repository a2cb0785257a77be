"""Makes the archives that are mirrored in the benchmark: the same bytes on every machine, kept between runs on tmpfs.

An archive is a folder `files/` and, beside it, `SHA256SUMS` of what is in there.
"""

import hashlib
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PIECE = 1 << 20  # bytes; every piece of a file begins with its own name and number, so no two pieces are alike
SPARE = 2_000_000_000  # bytes that stay free on tmpfs when an archive is made

Layout = Callable[[], Iterator[tuple[str, int]]]


@dataclass(frozen=True, slots=True)
class Archive:
    """A made archive: its folder, and the size of each file by path."""

    name: str
    root: Path
    sizes: dict[str, int]

    @property
    def files(self) -> Path:
        return self.root / "files"

    @property
    def sums(self) -> Path:
        return self.root / "SHA256SUMS"

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())


def make(name: str, cache: Path) -> Archive:
    """Return the archive `name`, made in `cache` if it is not there."""
    root = cache / name
    archive = Archive(name, root, dict(LAYOUTS[name]()))
    if archive.sums.exists():
        return archive
    shutil.rmtree(root, ignore_errors=True)
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if free < archive.bytes + SPARE:
        raise SystemExit(f"{cache}: {archive.bytes} bytes for {name} do not fit, {free} are free")
    noise = random.Random(name).randbytes(PIECE)
    lines = []
    for path, size in archive.sizes.items():
        lines.append(f"{_write(archive.files / path, path, size, noise)}  {path}\n")
    archive.sums.write_text("".join(lines))
    return archive


def lost(archive: Archive, copy: Path) -> list[str]:
    """Return the paths that are not in `copy`, or are not the same there."""
    return [path for path in archive.sizes if not _is_same(archive.files / path, copy / path)]


def _write(target: Path, path: str, size: int, noise: bytes) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for number, start in enumerate(range(0, size, PIECE)):
            head = hashlib.sha256(f"{path} {number}".encode()).digest()
            piece = (head + noise[len(head) :])[: size - start]
            digest.update(piece)
            out.write(piece)
    return digest.hexdigest()


def _is_same(one: Path, other: Path) -> bool:
    try:
        with one.open("rb") as left, other.open("rb") as right:
            while (chunk := left.read(PIECE)) == right.read(PIECE):
                if not chunk:
                    return True
    except FileNotFoundError:
        pass
    return False


def _mixed(count: int, total: int, seed: str) -> Iterator[tuple[str, int]]:
    """Yield files of 512 bytes to 8 MB, many small and few large, `total` bytes in all, in nested folders."""
    dice = random.Random(seed)
    shares = [dice.random() ** 3.1 for _ in range(count)]
    least, most = 512, 8_000_000
    sizes = [least + int(share * (most - least)) for share in shares]
    rest = total - sum(sizes)
    while rest:  # spread what is missing, or too much, over the files of middling size
        for number in range(count):
            room = most - sizes[number] if rest > 0 else sizes[number] - least
            if 0.2 < shares[number] < 0.8:
                part = min(room, abs(rest), 20_000)
                sizes[number] += part if rest > 0 else -part
                rest += -part if rest > 0 else part
    for number, size in enumerate(sizes):
        yield f"scenes/{2019 + number % 4}/{number % 12 + 1:02}/scene-{number:04}.tif", size


def _thin_mixed() -> Iterator[tuple[str, int]]:
    return _mixed(400, 775_000_000, "thin-mixed")


def _thin_mixed_quick() -> Iterator[tuple[str, int]]:
    return _mixed(100, 194_000_000, "thin-mixed-quick")


def _thin_one() -> Iterator[tuple[str, int]]:
    yield "model/reanalysis-193.nc", 193_000_000


def _even(folders: int, each: int, size: int, end: str) -> Layout:
    def layout() -> Iterator[tuple[str, int]]:
        for folder in range(folders):
            for number in range(each):
                yield f"part-{folder:02}/granule-{folder:02}-{number:05}.{end}", size

    return layout


LAYOUTS: dict[str, Layout] = {
    "thin-mixed": _thin_mixed,
    "thin-mixed-quick": _thin_mixed_quick,
    "thin-one": _thin_one,
    "thin-small": _even(10, 200, 4_000, "json"),
    "thin-small-quick": _even(10, 50, 4_000, "json"),
    "local-small": _even(20, 1_000, 16 << 10, "dat"),
    "local-small-quick": _even(20, 100, 16 << 10, "dat"),
    "local-mid": _even(4, 50, 10 << 20, "nc"),
    "local-mid-quick": _even(4, 10, 10 << 20, "nc"),
    "local-big": _even(1, 3, 1 << 30, "h5"),
    "https-one": _even(1, 1, 1 << 30, "h5"),
    "https-one-quick": _even(1, 1, 256 << 20, "h5"),
    "https-mid": _even(2, 50, 10 << 20, "nc"),
    "https-mid-quick": _even(2, 13, 10 << 20, "nc"),
    "local-big-quick": _even(1, 3, 256 << 20, "h5"),
    "s3-mid": _even(4, 25, 10 << 20, "nc"),
    "s3-four": _even(4, 60, 4 << 20, "nc"),
    "s3-inside": _even(2, 10, 5 << 20, "nc"),
    "s3-big": _even(1, 8, 96 << 20, "h5"),
}
