"""Runs the tests of the http transport with the oldest and the newest aiohttp that pyproject.toml allows.

`python -m tests.contracts.aiohttp_versions` (`make aiohttp-contract`). Each version is installed into a folder of its
own below .cache/aiohttp, which comes before the environment's packages. pyproject.toml's range is the only input.
"""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = (
    "tests/unit/test_open_client.py",
    "tests/unit/test_fast_response.py",
    "tests/contracts/test_transports.py::TestNginx",
    "tests/contracts/test_transports.py::TestPoliteServer",
    "tests/contracts/test_transports.py::TestNginxOverTheClientSession",
    "tests/hostile/test_http_bodies.py",
)


def main() -> int:
    """Run the tests with each version; 1 if a test fails."""
    failed = []
    for requirement in requirements():
        folder = installed(requirement)
        environ = os.environ | {"PYTHONPATH": str(folder)}
        version = _output(["-c", "import aiohttp; print(aiohttp.__version__, aiohttp.__file__)"], environ).split()
        if not Path(version[1]).is_relative_to(folder):
            raise SystemExit(f"aiohttp comes from {version[1]}, not from {folder}")
        print(f"== aiohttp {version[0]}", flush=True)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", *TESTS]
        if subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode != 0:
            failed.append(version[0])
    if failed:
        print(f"fails with aiohttp {', '.join(failed)}: see docs/adr/0015-own-connections.md", file=sys.stderr)
    return int(bool(failed))


def requirements() -> Iterator[str]:
    """Yield the requirement of the oldest allowed aiohttp, and that of the newest."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    allowed = next(one for one in project["dependencies"] if one.startswith("aiohttp>="))
    yield allowed.partition(",")[0].replace(">=", "==")
    yield allowed


def installed(requirement: str) -> Path:
    """Install one aiohttp into a folder, and return it; one that is pinned is installed once."""
    is_pinned = "==" in requirement
    folder = ROOT / ".cache" / "aiohttp" / (requirement.rpartition("==")[2] if is_pinned else "newest")
    if is_pinned and (folder / "aiohttp").is_dir():
        return folder
    words = ["-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps", "--upgrade"]
    _output([*words, "--target", str(folder), requirement], dict(os.environ))
    return folder


def _output(words: list[str], environ: dict[str, str]) -> str:
    return subprocess.run([sys.executable, *words], env=environ, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
