"""The file of a plan: JSON lines, a header first, then one line for each file that would change (kept ones excepted).

Steps have no order of their own, so the header has the sum of their hashes: two plans are compared without their lines.
"""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from manifests.messages import message, plain
from manifests.model import Mirror
from syncd.catalogue import MirrorRow
from syncd.core import ConfigError, Step
from syncd.engine.build_plan import PlanResult
from syncd.engine.pass_context import PassContext

VERSION = 1
ACTIONS = ("fetch", "replace", "remove", "hold", "refuse", "wait")
AT_ONCE = 256  # steps between two turns of the event loop

_MODULUS = 1 << 256


class PlannedStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the file: an action on a path, and upstream's claims of it when the plan was made."""

    action: str
    path: str
    bytes: int | None = None
    modified: float | None = None
    version: str | None = None
    digests: dict[str, str] = {}


class PlanHeader(msgspec.Struct, frozen=True):
    """The first line of the file; `made` is seconds since the epoch."""

    syncd_plan: int
    mirror: str
    manifest: str
    """The path of the manifest."""
    manifest_sha256: str
    """Of what the manifest says, whatever its comments and layout."""
    snapshot: str
    """The snapshot that the plan changes; "" if there is none."""
    made: float
    complete: bool
    files: dict[str, int]
    """The number of files by action."""
    download_bytes: int
    steps: int
    steps_sha256: str
    """The sum of the hashes of all steps, modulo 2^256."""


class StepSum:
    """A hash of steps that does not depend on their order."""

    def __init__(self) -> None:
        self.count = 0
        self.files: Counter[str] = Counter()
        self._sum = 0

    def add(self, step: Step) -> bytes:
        """Add a step, and return its line."""
        line = msgspec.json.encode(planned_step(step), order="deterministic", enc_hook=plain)
        self.add_line(line)
        self.files[step.action] += 1
        return line

    def add_line(self, line: bytes) -> None:
        """Add the line of a step, without its end."""
        self._sum = (self._sum + int.from_bytes(hashlib.sha256(line).digest())) % _MODULUS
        self.count += 1

    def hexdigest(self) -> str:
        """Return the hash."""
        return f"{self._sum:064x}"


def planned_step(step: Step) -> PlannedStep:
    """Return what a file of a plan says of a step: no reasons, which are texts."""
    stat = step.stat
    if stat is None:
        return PlannedStep(step.action, step.path, step.bytes)
    return PlannedStep(step.action, step.path, stat.size, stat.modified, stat.version, dict(stat.digests or {}))


def manifest_sha256(mirror: Mirror) -> str:
    """Return the hash of what a manifest says."""
    return hashlib.sha256(mirror.model_dump_json(exclude_defaults=True).encode()).hexdigest()


async def write_plan(file: Path, context: PassContext, row: MirrorRow, planning: PlanResult, manifest: Path) -> None:
    """Write a plan to a file; an existing one is replaced when the new one is whole. Raises ConfigError."""
    summed, part = StepSum(), file.with_name(f".{file.name}.part")
    try:
        await asyncio.to_thread(part.write_bytes, b"")
        lines: list[bytes] = []
        for step in context.catalogue.claims.steps(row.id, *ACTIONS):
            lines.append(summed.add(step) + b"\n")
            if len(lines) == AT_ONCE:
                await asyncio.to_thread(_append, part, lines)
                lines.clear()
        await asyncio.to_thread(_append, part, lines)
        header = PlanHeader(
            syncd_plan=VERSION,
            mirror=row.name,
            manifest=str(manifest),
            manifest_sha256=manifest_sha256(context.mirror),
            snapshot=row.snapshot or "",
            made=time.time(),
            complete=planning.inventory.complete,
            files=dict(summed.files),
            download_bytes=planning.counts.download_bytes,
            steps=summed.count,
            steps_sha256=summed.hexdigest(),
        )
        await asyncio.to_thread(_join, file, part, header)
    except OSError as error:
        raise ConfigError(message("{file}: cannot be written: {cause}", file=file, cause=error.strerror)) from error
    finally:
        await asyncio.to_thread(part.unlink, missing_ok=True)


def read_header(file: Path) -> PlanHeader:
    """Return the header of a plan. Raises ConfigError if the file is no plan, or was changed or cut."""
    summed = StepSum()
    try:
        with file.open("rb") as body:
            header = msgspec.json.decode(body.readline(), type=PlanHeader)
            for line in body:
                summed.add_line(line.rstrip(b"\n"))
    except OSError as error:
        raise ConfigError(message("{file}: cannot be read: {cause}", file=file, cause=error.strerror)) from error
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ConfigError(
            message("{file}: is not a plan: write one with syncd plan MANIFEST --out {file}", file=file)
        ) from error
    if header.syncd_plan != VERSION:
        raise ConfigError(message("{file}: is a plan of another version of syncd: make it again", file=file))
    if (summed.count, summed.hexdigest()) != (header.steps, header.steps_sha256):
        raise ConfigError(message("{file}: was changed or cut after it was written: make it again", file=file))
    return header


def read_steps(file: Path) -> Iterator[PlannedStep]:
    """Yield the steps of a plan's file."""
    with file.open("rb") as body:
        body.readline()
        for line in body:
            yield msgspec.json.decode(line, type=PlannedStep)


def _append(part: Path, lines: list[bytes]) -> None:
    with part.open("ab") as body:
        body.writelines(lines)


def _join(file: Path, part: Path, header: PlanHeader) -> None:
    """Write header and steps under the final name at once."""
    whole = file.with_name(f".{file.name}.whole")
    try:
        with whole.open("wb") as out, part.open("rb") as steps:
            out.write(msgspec.json.encode(header, enc_hook=plain) + b"\n")
            while block := steps.read(1 << 20):
                out.write(block)
        whole.replace(file)
    finally:
        whole.unlink(missing_ok=True)
