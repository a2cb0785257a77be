"""Runs the contenders of a case in turns (A B A B), each on a fresh folder, and looks afterwards at what they made."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.bench import peers
from tests.bench.archive import Archive, lost, make
from tests.bench.cases import Case, limit, manifest
from tests.bench.measure import Measured, run
from tests.bench.prefilled_store import prefill
from tests.bench.servers import ROOT, Serving, cpu_seconds, link, listing, nginx

US = "syncd"
BEFORE = "before"  # another checkout of ours, with an environment of its own
REST = 5.0  # seconds for a link's connections to close between two runs

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a case is run: its servers, its archive, its folder on tmpfs."""

    case: Case
    reader: str
    scratch: Path
    cache: Path
    url: str
    archive: Archive | None
    link: Serving | None
    server: Serving | None
    before: Path | None = None

    def kept(self, contender: str) -> Path:
        """Return where a contender of ours has what a case begins with."""
        return self.scratch / f"kept-{contender}"


@dataclass(slots=True)
class Outcome:
    """All runs of one case by contender, and what its servers saw in each run."""

    case: Case
    files: int
    bytes: int
    limit: float | None
    runs: dict[str, list[Measured]] = field(default_factory=dict)
    seen: dict[str, list[dict[str, float]]] = field(default_factory=dict)


def contest(
    case: Case, contenders: list[str], rounds: int, reader: str, home: Path, say: Say, before: Path | None = None
) -> Outcome:
    """Run every contender `rounds` times, in turns."""
    with _ground(case, reader, home) as found:
        ground = replace(found, before=before)
        archive = ground.archive
        files, size = (len(archive.sizes), archive.bytes) if archive is not None else (case.keys, 0)
        outcome = Outcome(case, files, size, limit(case, archive))
        for contender in (US, BEFORE):
            if case.kind == "verify" and contender in contenders:
                _must(_sync(ground, ground.kept(contender), contender))
            if case.is_known and contender in contenders:
                _must(_know(ground, ground.kept(contender), contender))
        for number in range(rounds):
            for contender in contenders:
                measured, seen = _turn(ground, contender)
                outcome.runs.setdefault(contender, []).append(measured)
                outcome.seen.setdefault(contender, []).append(seen)
                say(_line(contender, number, measured, seen))
    return outcome


@contextmanager
def _ground(case: Case, reader: str, home: Path) -> Iterator[Ground]:
    home.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="run-", dir=home))
    scratch.chmod(0o755)
    cache = ROOT / ".cache" / "bench"
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        if case.kind == "plan":
            server = stack.enter_context(listing(case.keys))
            yield Ground(case, "objects", scratch, cache, server.url, None, None, server)
            return
        archive = make(case.archive, home / "archives")
        web = stack.enter_context(nginx(archive, scratch / "nginx", is_secure=case.is_secure))
        stack.enter_context(_environ(web.environ))
        thin = stack.enter_context(link(web.port, case.shape)) if case.shape is not None else None
        yield Ground(case, reader, scratch, cache, (thin or web).url, archive, thin, web)


@contextmanager
def _environ(more: dict[str, str]) -> Iterator[None]:
    """Give every contender `more`."""
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _turn(ground: Ground, contender: str) -> tuple[Measured, dict[str, float]]:
    """Run one contender once; returns also what the servers saw meanwhile."""
    folder = ground.scratch / "turn"
    folder.mkdir()
    before = _look(ground)
    measured = _run(ground, contender, folder)
    after = _look(ground)
    if ground.case.kind == "copy" and ground.archive is not None:
        copy = folder / "store" / "bench" if contender in (US, BEFORE) else folder / "copy"
        measured = replace(measured, lost=len(lost(ground.archive, copy)))
    shutil.rmtree(folder)
    _rest(ground)
    seen = {name: after[name] - before[name] for name in after if name not in {"open", "peak", "load"}}
    seen["load"] = before["load"]  # of the machine when the run began: with more than 1 it was not ours alone
    return measured, seen | {name: after[name] for name in after if name == "peak"}


def _run(ground: Ground, contender: str, folder: Path) -> Measured:
    case, log = ground.case, folder / "log"
    tool = {"aria2": "aria2c", "rclone+sha256sum": "rclone"}.get(contender, contender.split("-", maxsplit=1)[0])
    if contender in (US, BEFORE):
        if case.kind == "copy":
            return _sync(ground, folder, contender)
        if case.kind == "plan":
            return _plan(ground, folder, contender)
        words = ["verify", "bench", "--read-data", *_places(ground.kept(contender))]
        return run([_syncd(ground, contender), *words], {}, log)
    program = peers.find(tool, ground.cache)
    if case.kind == "plan":
        commands = {
            "rclone": peers.rclone_plan(program, folder / "copy"),
            "rclone-size": peers.rclone_size(program),
            "s5cmd": peers.s5cmd_list(program, ground.url),
        }
        return run(commands[contender], peers.s3_environ(ground.url), log)
    assert ground.archive is not None
    if case.kind == "verify":
        return run(
            peers.sums_on_both_cores(ground.archive.files, 1 if len(ground.archive.sizes) < 100 else 20), {}, log
        )
    if tool == "aria2c":
        return run(peers.aria2_fetch(program, ground.url, ground.archive, folder / "copy", folder), {}, log)
    if contender == "rclone+sha256sum":
        return run(peers.rclone_and_sums(program, ground.url, folder / "copy"), {}, log)
    transfers = int(contender.split("-")[1]) if "-" in contender else None
    return run(peers.rclone_copy(program, ground.url, folder / "copy", transfers), {}, log)


def _sync(ground: Ground, folder: Path, contender: str) -> Measured:
    folder.mkdir(exist_ok=True)
    words = ["sync", str(_declare(ground, folder)), *_places(folder), *_private(ground)]
    return run([_syncd(ground, contender), *words], {}, folder / "log")


def _know(ground: Ground, folder: Path, contender: str) -> Measured:
    """Let a Catalogue know all keys; the first rebuild makes the store, the second one reads it."""
    folder.mkdir()
    rebuild = [_syncd(ground, contender), "rebuild", *_places(folder)]
    _must(run(rebuild, {}, folder / "log"))
    prefill(ground.case.keys, folder / "store")
    return run(rebuild, {}, folder / "log")


def _plan(ground: Ground, folder: Path, contender: str) -> Measured:
    places = _places(ground.kept(contender) if ground.case.is_known else folder)
    words = ["plan", str(_declare(ground, folder)), "--json", *places, *_private(ground)]
    measured = run([_syncd(ground, contender), *words], peers.s3_environ(ground.url), folder / "log")
    try:
        planned = json.loads(measured.tail.strip().splitlines()[-1])["keep" if ground.case.is_known else "fetch"]
    except (ValueError, LookupError):
        planned = 0
    return replace(measured, lost=ground.case.keys - planned)


def _declare(ground: Ground, folder: Path) -> Path:
    path = folder / "bench.yaml"
    path.write_text(manifest(ground.case, ground.url, ground.reader))
    return path


def _syncd(ground: Ground, contender: str) -> str:
    checkout = ground.before if contender == BEFORE and ground.before is not None else ROOT
    return str(checkout / ".venv" / "bin" / "syncd")


def _places(folder: Path) -> list[str]:
    return ["--store", str(folder / "store"), "--state", str(folder / "state")]


def _private(ground: Ground) -> list[str]:
    return ["--allow-private", ground.url]


def _must(measured: Measured) -> None:
    if measured.code != 0:
        raise SystemExit(f"syncd ended with {measured.code}:\n{measured.tail}")


def _look(ground: Ground) -> dict[str, float]:
    """Return what link and server have counted and used so far, and how busy the machine is."""
    seen: dict[str, float] = {"load": os.getloadavg()[0]}
    if ground.link is not None:
        seen |= ground.link.ask()
        seen["link_cpu"] = cpu_seconds(ground.link.process)
    if ground.server is not None:
        seen["server_cpu"] = cpu_seconds(ground.server.process)
    return seen


def _rest(ground: Ground) -> None:
    """Wait until the link carries nothing more of the last run."""
    until = time.monotonic() + REST
    while ground.link is not None and ground.link.ask()["open"] and time.monotonic() < until:
        time.sleep(0.05)


def _line(contender: str, number: int, measured: Measured, seen: dict[str, float]) -> str:
    words = (
        f"{contender} #{number + 1}: {measured.wall:.2f} s, cpu {measured.cpu:.2f} s, rss {measured.rss / 1e6:.0f} MB"
    )
    words += f", LOST {measured.lost}" if measured.lost else ""
    words += f", exit {measured.code}" if measured.code else ""
    words += "".join(f", {name} {value:.4g}" for name, value in seen.items() if name not in {"up", "down"})
    return words if measured.is_good else f"{words}\n{measured.tail[-600:]}"
