"""What it costs to bring files from HTTP into a bucket: `python -m tests.bench.s3_write mid --before ../earlier --rclone`.

Ceph's S3 gateway holds the bucket, in memory; nginx serves the files. Contenders take turns, each into an empty bucket.
The connections and the bytes are counted by a forwarder in front of the gateway, which is a process of its own.
Cases: mid (100 files of 10 MiB), four (240 of 4 MiB), big (8 of 96 MiB), small (2,000 of 4,000 bytes), nothing (a pass
of the small files that finds no change), inside (20 files of 5 MiB from one prefix of the bucket to another: `sent` are
the bytes that were uploaded, `received` those that were read).
"""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from tests.bench import peers
from tests.bench.__main__ import alone, home
from tests.bench.archive import Archive, make
from tests.bench.measure import Measured, run
from tests.bench.servers import ROOT, nginx
from tests.servers.fixtures import S3Server, make_bucket
from tests.servers.rgw import Rgw

ARCHIVES = {"mid": "s3-mid", "four": "s3-four", "big": "s3-big", "small": "thin-small", "nothing": "thin-small"}
ARCHIVES["inside"] = "s3-inside"
BLOCK = 1 << 18  # bytes forwarded at a time
BUCKET = "syncd-tests"
UPSTREAM = "upstream"  # the prefix of the files that are copied inside the bucket
OF_UPSTREAM = f"bench:{BUCKET}/{UPSTREAM}"  # for rclone


class Counting:
    """Forwards connections to a port and counts them, and the bytes of each direction."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.counts = {"connections": 0, "sent": 0, "received": 0}

    async def serve(self) -> None:
        """Print the own port, then the counts after each line of standard input."""
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0, limit=BLOCK)
        print(server.sockets[0].getsockname()[1], flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(self.counts), flush=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts["connections"] += 1
        with contextlib.suppress(OSError):
            behind, onward = await asyncio.open_connection("127.0.0.1", self.port, limit=BLOCK)
            with contextlib.suppress(OSError):
                await asyncio.gather(self._copy(reader, onward, "sent"), self._copy(behind, writer, "received"))
            onward.close()
        writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        while chunk := await reader.read(BLOCK):
            self.counts[name] += len(chunk)
            writer.write(chunk)
            await writer.drain()
        writer.close()


class Counter:
    """The forwarder's process."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, "-m", "tests.bench.s3_write", "--forward", str(port)]
        self.process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def counts(self) -> dict[str, int]:
        """Return what was counted so far."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        counts: dict[str, int] = json.loads(self.process.stdout.readline())
        return counts

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.communicate()


class Turns:
    """The contenders of one case, and the servers between which they move bytes."""

    def __init__(self, case: str, archive: Archive, url: str, cluster: Rgw, folder: Path, before: Path | None) -> None:
        self.case, self.archive, self.url, self.cluster, self.folder = case, archive, url, cluster, folder
        self.before = before
        self.is_filled = False  # with the files of upstream, inside the bucket
        self.counter = Counter(urlsplit(cluster.endpoint).port or 0)
        self.endpoint = f"http://127.0.0.1:{self.counter.port}"

    def turn(self, contender: str) -> tuple[Measured, dict[str, float]]:
        """Run one contender; return also what was counted between it and the gateway."""
        asyncio.run(make_bucket(S3Server(self.cluster.endpoint, self.cluster.access_key, self.cluster.secret_key)))
        folder = self.folder / secrets.token_hex(4)
        folder.mkdir()
        command = self._command(contender, folder)
        environ = peers.s3_environ(self.endpoint) | {
            "AWS_ACCESS_KEY_ID": self.cluster.access_key,
            "AWS_SECRET_ACCESS_KEY": self.cluster.secret_key,
        }
        if self.case == "nothing":
            run(command, environ, folder / "log")
        if self.case == "inside" and not self.is_filled:
            self.is_filled = run(self._rclone(str(self.archive.files), OF_UPSTREAM), environ, folder / "log").is_good
        counted, stored, load = self.counter.counts(), self._stored(), os.getloadavg()[0]
        measured = run(command, environ, folder / "log")
        counts: dict[str, float] = {name: count - counted[name] for name, count in self.counter.counts().items()}
        counts |= {"stored": self._stored() - stored, "load": load}
        if self.case != "inside":  # Ceph's copies share bytes with their source, which a purge deletes
            self._empty()
        return measured, counts

    def _command(self, contender: str, folder: Path) -> list[str]:
        is_inside = self.case == "inside"
        if contender == "rclone":
            goal = f"bench:{BUCKET}/{folder.name}"
            return self._rclone(OF_UPSTREAM if is_inside else ":http:", goal, "--http-url", f"{self.url}/")
        manifest = folder / "bench.yaml"
        source = f"url: {self.url}/\n  reader: autoindex\n"
        if is_inside:
            source = f"url: s3://{BUCKET}/{UPSTREAM}/\n  endpoint: {self.endpoint}\n  reader: objects\n"
        manifest.write_text(f"mirror: bench\ntitle: S3\nsource:\n  {source}")
        home = self.before if contender == "before" and self.before is not None else ROOT
        words = [
            "--store",
            f"s3://{BUCKET}/{folder.name}/",
            "--endpoint",
            self.endpoint,
            "--state",
            str(folder / "state"),
        ]
        allowed = self.endpoint if is_inside else self.url
        return [str(home / ".venv/bin/syncd"), "sync", str(manifest), *words, "--allow-private", allowed]

    def _rclone(self, *words: str) -> list[str]:
        return [peers.find("rclone", ROOT / ".cache" / "bench"), "copy", *words, "--config", ""]

    def _stored(self) -> int:
        """Return the bytes that the gateway has received or copied into objects, by the disk's own count."""
        found = json.loads(self.cluster._ask("daemon", "osd.0", "perf", "dump"))
        return int(found["osd"]["op_w_in_bytes"])

    def _empty(self) -> None:
        words = ("radosgw-admin", "-n", "client.rgw", "bucket", "rm", "--bucket", BUCKET, "--purge-objects")
        self.cluster._run(*words, "--bypass-gc")


@contextlib.contextmanager
def ground(case: str, before: Path | None) -> Iterator[Turns]:
    """Start the servers of a case."""
    folder = Path(tempfile.mkdtemp(prefix="s3-", dir=home()))
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        archive = make(ARCHIVES[case], home() / "archives")
        web = stack.enter_context(nginx(archive, folder / "nginx"))
        (folder / "rgw").mkdir()
        certificate = folder / "certificate.pem"
        words = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(certificate), "-x509", "-subj", "/CN=localhost"]
        subprocess.run(["openssl", "req", *words, "-out", str(folder / "x.pem")], check=True, capture_output=True)
        with certificate.open("ab") as out:
            out.write((folder / "x.pem").read_bytes())
        cluster = Rgw(folder / "rgw", certificate)
        stack.callback(cluster.close)
        turns = Turns(case, archive, web.url, cluster, folder, before)
        stack.callback(turns.counter.close)
        yield turns


def _print_medians(case: str, size: int, figures: dict[str, list[tuple[Measured, dict[str, float]]]]) -> None:
    columns = "case | who | wall s | CPU s | CPU s/GB | RSS MB | connections | sent MB | received MB | stored | load"
    print(f"| {columns} |\n|{'---|' * len(columns.split('|'))}")
    for contender, runs in figures.items():
        wall, cpu, rss = (median(getattr(one, name) for one, _ in runs) for name in ("wall", "cpu", "rss"))
        names = ("connections", "sent", "received", "stored", "load")
        connections, sent, received, stored, load = (median(counts[name] for _, counts in runs) for name in names)
        cells = f"{wall:.2f} | {cpu:.2f} | {cpu / size * 1e9:.2f} | {rss / 1e6:.0f} | {connections:.0f}"
        cells += f" | {sent / 1e6:,.3f} | {received / 1e6:,.3f} | {stored / size:.2f} of the files | {load:.1f}"
        print(f"| {case} | {contender} | {cells} |")


def main() -> int:
    """Run a case and print the medians."""
    words = argparse.ArgumentParser(prog="python -m tests.bench.s3_write", description=__doc__)
    words.add_argument("case", nargs="?", choices=ARCHIVES)
    words.add_argument("--before", type=Path)
    words.add_argument("--rclone", action="store_true")
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--forward", type=int)
    given = words.parse_args()
    if given.forward:
        asyncio.run(Counting(given.forward).serve())
        return 0
    home().mkdir(parents=True, exist_ok=True)
    contenders = ["syncd", *(["before"] if given.before else []), *(["rclone"] if given.rclone else [])]
    figures: dict[str, list[tuple[Measured, dict[str, float]]]] = {}
    with alone(), ground(given.case, given.before) as turns:
        for number in range(given.rounds):
            for contender in contenders:
                measured, counts = turns.turn(contender)
                figures.setdefault(contender, []).append((measured, counts))
                shown = ", ".join(f"{name} {count:,.4g}" for name, count in counts.items())
                line = (
                    f"{time.strftime('%T')} {contender} #{number + 1}: {measured.wall:.2f} s, cpu {measured.cpu:.2f} s"
                )
                print(f"{line}, rss {measured.rss / 1e6:.0f} MB, {shown}", file=sys.stderr, flush=True)
                if measured.code:
                    print(measured.tail, file=sys.stderr)
    _print_medians(given.case, turns.archive.bytes, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
