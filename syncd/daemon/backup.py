"""Backups of the Catalogue in the store: they preserve passes, audit log and check times if the state folder is lost.

Rules:
1. A backup is never changed: its name holds the time and the sha256 of its bytes.
2. A backup is valid only if its bytes have that sha256 and open as a Catalogue. It is an archive of the daemon's file
   and of the file of each mirror, each as it was at one moment.
3. The store has precedence over a backup: a mirror that was published later is rebuilt from the store.
"""

import asyncio
import gzip
import hashlib
import re
import shutil
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

from manifests.messages import message
from syncd.catalogue import BackgroundReader, Catalogue, replace_catalogue
from syncd.config import Config, network_plan
from syncd.core import Damaged, Store, UnknownName
from syncd.session import open_store

FOLDER = ".syncd/backup/"
PIECE = 1 << 20
MAX_BYTES = 1 << 40  # of a compressed and of an uncompressed backup

_NAME = re.compile(r"(\d{8}T\d{6}Z)\.([0-9a-f]{64})\.(?:tar|sqlite)\.gz")
_MEMBER = re.compile(r"catalogue\.sqlite|mirrors/[A-Za-z0-9%_-]+\.sqlite")
JOINED = ".sqlite.gz"  # ends the name of a backup of an older syncd: the one file with the records of all mirrors


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup in the store."""

    place: str
    at: float
    sha256: str


async def backups(store: Store) -> list[Backup]:
    """Return the backups in the store, the newest first."""
    found = []
    async for stat in store.list(FOLDER):
        named = _NAME.fullmatch(stat.path.removeprefix(FOLDER))
        if named is not None:
            at = datetime.strptime(named[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
            found.append(Backup(stat.path, at, named[2]))
    return sorted(found, key=lambda one: (one.at, one.sha256), reverse=True)


async def back_up(
    store: Store, beside: BackgroundReader, spool: Path, now: Callable[[], float] = time.time
) -> tuple[Backup, int]:
    """Copy the Catalogue to the store; returns the backup and its compressed size in bytes."""
    folder = Path(await asyncio.to_thread(mkdtemp, dir=spool))
    packed = folder / "packed"
    try:
        sha256, size = await _pack(beside, folder, packed)
        at = now()
        name = f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}.{sha256}.tar.gz"
        backup = Backup(FOLDER + name, at, sha256)
        async with store.stage(backup.place, size=size) as staged:
            offset = 0
            while piece := await asyncio.to_thread(_piece, packed, offset, max(PIECE, store.piece)):
                await staged.write(offset, piece)
                offset += len(piece)
            await staged.commit(size=size, sha256=sha256)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    return backup, size


def _piece(file: Path, offset: int, size: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(size)


async def prune(store: Store, keep: int) -> int:
    """Delete all backups but the newest `keep`; returns the number of deleted ones."""
    gone = (await backups(store))[keep:]
    for backup in gone:
        await store.delete(backup.place)
    return len(gone)


async def fetch(store: Store, wanted: str, folder: Path) -> Backup:
    """Write the backup `wanted` ("latest", or a prefix of its name) as a Catalogue to the empty `folder`.

    Raises NotFound, or Damaged if its sha256 differs or it is no Catalogue.
    """
    found = await backups(store)
    fitting = found[:1] if wanted == "latest" else [one for one in found if one.place.startswith(FOLDER + wanted)]
    if len(fitting) != 1:
        names = ", ".join(one.place.removeprefix(FOLDER)[:20] for one in found) or "none"
        raise UnknownName(
            message(
                "{wanted}: does not name exactly one backup of the Catalogue; the store has: {names}",
                wanted=wanted,
                names=names,
            )
        )
    backup = fitting[0]
    packed, digest, left = folder / "packed", hashlib.sha256(), MAX_BYTES
    with await asyncio.to_thread(packed.open, "wb") as file:
        async with store.open(backup.place) as body:
            async for chunk in body:
                left -= len(chunk)
                if left < 0:
                    raise Damaged(message("{place}: longer than a backup can be", place=backup.place))
                digest.update(chunk)
                await asyncio.to_thread(file.write, chunk)
    if digest.hexdigest() != backup.sha256:
        raise Damaged(
            message(
                "{place}: expected sha256 {sha256}, found {found}: choose another backup",
                place=backup.place,
                sha256=backup.sha256,
                found=digest.hexdigest(),
            )
        )
    unpack = _unpack_joined if backup.place.endswith(JOINED) else _unpack
    await asyncio.to_thread(unpack, packed, folder, backup.place)
    await asyncio.to_thread(_open, folder)
    return backup


async def restore_backup(
    config: Config, wanted: str, environ: Mapping[str, str] | None = None
) -> tuple[str, Path | None]:
    """Replace the Catalogue with a backup; returns the backup's place and the new path of the replaced Catalogue.

    Raises NotFound, Damaged, Busy (a daemon uses this state folder), Offline.
    """
    settings = config.store
    plan = await asyncio.to_thread(network_plan, config.network, environ or {})
    store = open_store(settings, network=plan)
    await asyncio.to_thread(config.state.mkdir, parents=True, exist_ok=True)
    folder = Path(await asyncio.to_thread(mkdtemp, dir=config.state, prefix="spool-"))
    try:
        await store.identify(None)
        backup = await fetch(store, wanted, folder)
        suffix = f"before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        kept = await asyncio.to_thread(replace_catalogue, config.state, folder, suffix)
        return backup.place, kept
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        await store.aclose()


def _open(folder: Path) -> None:
    """Migrate the Catalogue to the current schema; closing it leaves single files. Raises Damaged."""
    with Catalogue(folder) as catalogue:
        for row in catalogue.history.mirrors():
            try:
                catalogue.history.current_id(row.id)
            except Damaged as error:
                if not error.of_mirror:
                    raise
                catalogue.history.drop(row.id)  # as it was when the backup was made: it is read from the store


async def _pack(beside: BackgroundReader, folder: Path, packed: Path) -> tuple[str, int]:
    """Write copies of all files to an archive, one after the other; return its sha256 and size.

    Passes go on meanwhile: a mirror that publishes between two copies is rolled forward, or read from the store.
    """
    twin = folder / "twin"
    archive = await asyncio.to_thread(tarfile.open, packed, "w:gz", compresslevel=3)
    try:
        for name, number in await beside.run(lambda catalogue: catalogue.all_files()):
            if await beside.run(partial(_copy, number, twin)):
                await asyncio.to_thread(_add, archive, twin, name)
    finally:
        await asyncio.to_thread(archive.close)
    return await asyncio.to_thread(_digest, packed)


def _copy(number: int | None, twin: Path, catalogue: Catalogue) -> bool:
    return catalogue.copy(number, twin)


def _add(archive: tarfile.TarFile, twin: Path, name: str) -> None:
    archive.add(twin, name, filter=_plain)
    twin.unlink()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave the names of our user and group out of an archive."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _digest(packed: Path) -> tuple[str, int]:
    with packed.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), packed.stat().st_size


def _unpack(packed: Path, folder: Path, place: str) -> None:
    """Write the files of an archive to `folder`, and no others."""
    left = MAX_BYTES
    (folder / "mirrors").mkdir()
    try:
        with tarfile.open(packed, "r|gz") as archive:
            for member in archive:
                body = archive.extractfile(member) if member.isfile() and _MEMBER.fullmatch(member.name) else None
                left -= member.size
                if body is None or left < 0:
                    raise Damaged(message("{place}: has {name}, which no backup has", place=place, name=member.name))
                with body, (folder / member.name).open("xb") as out:
                    shutil.copyfileobj(body, out, PIECE)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise Damaged(message("{place}: cannot be decompressed: {cause}", place=place, cause=error)) from error
    packed.unlink()


def _unpack_joined(packed: Path, folder: Path, place: str) -> None:
    """As `_unpack`, for a backup of an older syncd: its one file is divided when it is opened."""
    left = MAX_BYTES
    try:
        with gzip.open(packed) as file, (folder / "catalogue.sqlite").open("wb") as out:
            while piece := file.read(PIECE):
                left -= len(piece)
                if left < 0:
                    raise Damaged(message("{place}: longer than a backup can be", place=place))
                out.write(piece)
    except (OSError, EOFError) as error:
        raise Damaged(message("{place}: cannot be decompressed: {cause}", place=place, cause=error)) from error
    packed.unlink()
