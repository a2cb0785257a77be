"""Proves that every contract of import-linter bites: `make layers` runs `python -m tests.lint.layers`.

The packages and pyproject.toml are copied to a temporary folder. An offence is added there, lint-imports must fail, break
the contract that forbids it, and name the modules. A contract that no offence breaks is itself a finding.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.lint.tree import PACKAGES

ROOT = Path(__file__).parents[2]
CACHE = ".import_linter_cache"


@dataclass(frozen=True, slots=True)
class Offence:
    """A line added to a file, the contract that it breaks, and what the report must name."""

    contract: str
    file: str
    line: str
    named: str


FLOORS = "the floors of {}"
ENGINE = "the engine and all below it take ports and emit events: no adapter, no client library, no display"
OFFENCES = [
    # a module that stands in no layer, in each of the three houses
    Offence(FLOORS.format("syncd"), "syncd/afterthought.py", "", "syncd.afterthought"),
    Offence(FLOORS.format("syncd"), "syncd/afterthoughts/__init__.py", "", "syncd.afterthoughts"),
    Offence(FLOORS.format("manifests"), "manifests/afterthought.py", "", "manifests.afterthought"),
    Offence(FLOORS.format("transports"), "transports/afterthought.py", "", "transports.afterthought"),
    # what must not know a credential
    Offence(
        FLOORS.format("syncd"),
        "syncd/stores/ranges.py",
        "from syncd.config import Secret",
        "syncd.stores.ranges -> syncd.config",
    ),
    Offence(
        FLOORS.format("syncd"),
        "syncd/catalogue/holdings.py",
        "from syncd.config.secrets import Secret",
        "syncd.catalogue.holdings -> syncd.config.secrets",
    ),
    Offence(FLOORS.format("syncd"), "syncd/core/steps.py", "import syncd.engine", "syncd.core.steps -> syncd.engine"),
    Offence(FLOORS.format("syncd"), "syncd/api/rest.py", "import syncd.daemon", "syncd.api.rest -> syncd.daemon"),
    # client libraries
    Offence(ENGINE, "syncd/engine/planner.py", "import aiohttp", "syncd.engine.planner -> aiohttp"),
    Offence(ENGINE, "syncd/wrappers/fair_share.py", "import rich", "syncd.wrappers.fair_share -> rich"),
    Offence(ENGINE, "syncd/engine/planner.py", "import transports.http", "syncd.engine.planner -> transports.http"),
    Offence(
        "only the retry policy knows tenacity", "syncd/engine/transfer.py", "import tenacity", "transfer -> tenacity"
    ),
    Offence("only the Catalogue knows its database", "syncd/daemon/backup.py", "import apsw", "backup -> apsw"),
    Offence(
        "only metrics knows prometheus_client",
        "syncd/daemon/daemon.py",
        "import prometheus_client",
        "daemon -> prometheus_client",
    ),
    Offence("one module parses XML", "transports/s3/errors.py", "from xml.parsers import expat", "s3.errors -> xml"),
    Offence(
        "outward formats are pure: no engine, no store, no client library",
        "syncd/exchange/dcat.py",
        "import syncd.stores",
        "syncd.exchange.dcat -> syncd.stores",
    ),
    # the other two houses
    Offence(
        "manifests is pure: no engine, no transport, no client library",
        "manifests/stat.py",
        "import syncd.core.errors",
        "manifests.stat -> syncd.core.errors",
    ),
    Offence(
        "transports know the core, nothing else of syncd",
        "transports/net/stall.py",
        "import syncd.wrappers",
        "transports.net.stall -> syncd.wrappers",
    ),
    Offence(
        "http, files, FTP and SFTP are blind to one another",
        "transports/file.py",
        "import transports.http",
        "transports.file -> transports.http",
    ),
    Offence(
        "a store that is a folder needs no transport",
        "syncd/stores/lease.py",
        "import transports.net",
        "syncd.stores.lease -> transports.net",
    ),
    # a circle inside one package
    Offence(
        "no cycle between packages, nor between the modules of one",
        "syncd/api/errors.py",
        "import syncd.api.server",
        ".errors -> .server",
    ),
]


def lint(folder: Path) -> tuple[int, str]:
    """Return the exit code of lint-imports and what it printed, one line for each contract however long its name."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo"],
        cwd=folder,
        env={**os.environ, "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def copied(folder: Path) -> None:
    """Copy what lint-imports reads; its cache too, which goes by the times of the files."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "pyproject.toml", folder)
    if (ROOT / CACHE).is_dir():
        shutil.copytree(ROOT / CACHE, folder / CACHE)


def missed(folder: Path, offence: Offence) -> str | None:
    """Add the offence, lint, take it back; return why it was not caught as it should be."""
    file = folder / offence.file
    before = file.read_bytes() if file.exists() else None
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"{'' if before is None else before.decode()}\n{offence.line}\n")
    try:
        code, said = lint(folder)
    finally:
        if before is not None:
            file.write_bytes(before)
        elif file.name == "__init__.py":
            shutil.rmtree(file.parent)
        else:
            file.unlink()
    what = f"{offence.file}: {offence.line or 'a new module in no layer'}"
    if code == 0:
        return f"{what}: passes"
    if f"{offence.contract} BROKEN" not in said:
        return f"{what}: fails, but does not break the contract {offence.contract!r}:\n{said}"
    if offence.named not in said:
        return f"{what}: fails, but the report does not name {offence.named}:\n{said}"
    return None


def main() -> int:
    """Try every offence; return 1 where one was not caught, or a contract has none."""
    began = time.monotonic()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    names = {contract["name"] for contract in contracts}
    shown = {offence.contract for offence in OFFENCES}
    findings = [f"no offence shows that this contract bites: {name}" for name in sorted(names - shown)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copied(folder)
        code, said = lint(folder)
        if code:
            findings.append(f"the copy fails without an offence:\n{said}")
        else:
            findings += filter(None, (missed(folder, offence) for offence in OFFENCES))
    for finding in findings:
        print(finding)
    spent = time.monotonic() - began
    print(f"layers: {len(OFFENCES)} offences against {len(names)} contracts, {len(findings)} not caught, {spent:.1f} s")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
