"""A foreign archive that lives: serves a folder over HTTP and changes something in it every now and then.

python archive.py [--listen HOST:PORT] [--every SECONDS] [--scale SHARE] FOLDER. It makes `scenes/`, with a SHA256SUMS
over all of it, and `stations/`, which only a directory index lists. Needs nothing but Python.
"""

import argparse
import hashlib
import os
import random
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SCENES = 40
STATIONS = 40
LARGE, SMALL = 4_000_000, 40_000  # bytes


class Archive:
    """The files, and what their publisher does to them."""

    def __init__(self, root: Path, *, scale: float = 1.0, seed: int = 0) -> None:
        """Make the files below `root`; `scale` shrinks them."""
        self.root = root
        self.large, self.small = int(LARGE * scale), int(SMALL * scale)
        self._chance = random.Random(seed)
        self._number = 0
        for number in range(SCENES):
            self._write(f"scenes/2026/S{number:03}.tif", self._chance.randrange(self.large // 4, self.large))
        for number in range(STATIONS):
            self._write(f"stations/{number % 4}/st{number:03}.csv", self._chance.randrange(self.small // 4, self.small))
        self._publish()

    def change(self) -> None:
        """Replace a scene and a station; every third time a scene comes, every fifth time one goes."""
        self._number += 1
        scenes = sorted((self.root / "scenes" / "2026").iterdir())
        stations = sorted((self.root / "stations").rglob("*.csv"))
        for file, size in ((self._chance.choice(scenes), self.large), (self._chance.choice(stations), self.small)):
            self._write(str(file.relative_to(self.root)), self._chance.randrange(size // 4, size))
        if self._number % 3 == 0:
            self._write(f"scenes/2026/T{self._number:06}.tif", self.large // 2)
        if self._number % 5 == 0:
            scenes[-1].unlink()
        self._publish()

    def _write(self, path: str, size: int) -> None:
        """Put a file into its place whole, as a publisher should."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.root / "unfinished"
        unfinished.write_bytes(self._chance.randbytes(size))
        unfinished.rename(file)

    def _publish(self) -> None:
        folder = self.root / "scenes"
        files = sorted(file for file in folder.rglob("*.tif"))
        lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder)}\n" for file in files]
        unfinished = self.root / "unfinished"
        unfinished.write_text("".join(lines))
        unfinished.rename(folder / "SHA256SUMS")


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and directory indexes, and keeps its log to itself."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serve(archive: Archive, host: str, port: int, every: float) -> None:
    """Serve until the process ends; something changes every `every` seconds."""
    server = ThreadingHTTPServer((host, port), partial(Quiet, directory=os.fspath(archive.root)))

    def live() -> None:
        while not ended.wait(every):
            archive.change()

    ended = threading.Event()
    threading.Thread(target=live, daemon=True).start()
    print(f"http://{host}:{server.server_port}/", flush=True)
    try:
        server.serve_forever()
    finally:
        ended.set()


if __name__ == "__main__":
    words = argparse.ArgumentParser()
    words.add_argument("--listen", default="127.0.0.1:8000")
    words.add_argument("--every", type=float, default=60.0)
    words.add_argument("--scale", type=float, default=1.0)
    words.add_argument("folder", type=Path)
    given = words.parse_args()
    at, _, number = given.listen.rpartition(":")
    serve(Archive(given.folder, scale=given.scale), at, int(number), given.every)
