"""Lists the folders of an FTP server, by MLSD or by LIST; links are followed as far as they stay in the source."""

import posixpath
import re
from collections.abc import Sequence

from manifests.messages import count, message
from manifests.stat import storable
from syncd.core import Interrupted, NotFound, Unsupported
from transports.ftp.control import FtpControl
from transports.ftp.errors import translated_errors
from transports.ftp.listing import FILE, FOLDER, LINK, FtpEntry, list_line, mlsd, stat_of
from transports.net import (
    NOWHERE,
    SPECIAL,
    TO_FOLDERS,
    Listing,
    Selection,
    ServerTree,
    SkippedNames,
    StallDetector,
    check_count,
)

ASKED_AT_ONCE = 32  # files whose times are asked for before the first reply is read
_NO_FILES = re.compile(
    r"\bno files\b|没有(?:找到)?文件|沒有(?:找到)?檔案|ファイルが(?:ありません|見つかりません)|파일이 없"
    r"|keine Dateien|aucun fichier|no hay (?:archivos|ficheros)|nenhum arquivo|nessun file"
    r"|нет файлов|файлы не найдены|brak plików",
    re.IGNORECASE,
)


class FolderLister:
    """One listing of a source, folder by folder."""

    def __init__(
        self,
        tree: ServerTree,
        selection: Selection,
        skipped: SkippedNames,
        *,
        encoding: str,
        floor: tuple[float, float],
    ) -> None:
        """`skipped` counts the names that the listing passes over."""
        self._tree = tree
        self._selection = selection
        self._skipped = skipped
        self._encoding = encoding
        self._floor = floor
        self._unread = _UnreadLines(tree.origin)
        self._identities: dict[str, str] = {}  # of each folder that is walked, by its path

    def raise_if_unread(self) -> None:
        """Raise Unsupported if any line could not be read."""
        self._unread.raise_if_any()

    async def files(self, control: FtpControl, above: str) -> Listing:
        """Return the selected files and folders in one folder."""
        files: dict[str, FtpEntry] = {}
        if not above:
            with translated_errors(self._tree.url, self._tree.origin):
                self._identities[""] = await control.identity(control.at(self._tree.folder).rstrip("/") or "/")
        select_of = {FOLDER: self._selection.folder, FILE: self._selection.file, LINK: self._selection.file}
        walked = {identity for path, identity in self._identities.items() if identity and above.startswith(path)}
        for one in await self._names(control, above):
            select = select_of.get(one.kind)
            if select is None:
                self._skipped.add(SPECIAL)
            elif one.kind == FOLDER and one.unique in walked:
                self._skipped.add(TO_FOLDERS)
            elif (path := select(above, one.name)) is not None:
                is_link = one.kind == LINK and path.endswith(one.name)  # else its name is refused
                found = await self._linked(control, path, one) if is_link else one
                if found is not None:
                    files[path] = found
                    if found.kind == FOLDER:
                        self._identities[path] = found.unique
        paths = sorted(files)
        untimed = [p for p in paths if files[p].kind == FILE and not files[p].stamp and p.endswith(files[p].name)]
        for at in range(0, len(untimed), ASKED_AT_ONCE):
            batch = untimed[at : at + ASKED_AT_ONCE]
            with translated_errors(above or self._tree.url, self._tree.origin):
                times = await control.times([control.at(self._tree.folder + path) for path in batch])
            for path, stamp in zip(batch, times, strict=True):
                files[path] = files[path]._replace(stamp=stamp)
        return [(path, None if path.endswith("/") else stat_of(path, files[path])) for path in paths]

    async def _linked(self, control: FtpControl, path: str, link: FtpEntry) -> FtpEntry | None:
        """Return the file that a link leads to; count a link that leads to none of the source."""
        if link.target.startswith("/"):  # as the server names it, which may not be its whole disk
            is_inside = link.target.startswith(control.at(self._tree.folder))
        else:
            leads = posixpath.normpath(posixpath.join(posixpath.dirname(path), link.target)) if link.target else path
            if leads == "." or path.startswith(f"{leads}/"):  # to a folder that holds it
                self._skipped.add(TO_FOLDERS)
                return None
            is_inside = not f"{leads}/".startswith("../")
        if is_inside:
            try:
                return await control.describe(control.at(self._tree.folder + path), path)
            except NotFound:  # a folder, or nothing
                self._skipped.add(TO_FOLDERS if await self._is_folder(control, path) else NOWHERE)
                return None
        self._skipped.add(NOWHERE)
        return None

    async def _is_folder(self, control: FtpControl, path: str) -> bool:
        code, _ = await control.command(f"CWD {control.at(self._tree.folder + path)}", ("2xx", "5xx"))
        return code.startswith("2")

    async def _names(self, control: FtpControl, above: str) -> Sequence[FtpEntry]:
        """Return the names in one folder, as the server orders them; note the lines that have none."""
        name = above or self._tree.url
        is_exact = "MLST" in control.features
        with translated_errors(name, self._tree.origin):
            await control.send_command(f"CWD {control.at(self._tree.folder + above).rstrip('/') or '/'}", "2xx")
        try:
            try:
                data = await control.opened("MLSD" if is_exact else "LIST", name)
            except Unsupported:
                if not is_exact:
                    raise
                control.without("MLST")
                is_exact = False
                data = await control.opened("LIST", name)
        except (NotFound, Interrupted) as error:
            if _NO_FILES.search(str(error)) is None:
                raise
            return []  # the folder was entered, and is empty: some servers refuse to list nothing
        read = mlsd if is_exact else list_line
        found: list[FtpEntry] = []
        watched = StallDetector(name, self._floor)
        try:
            with translated_errors(name, self._tree.origin, broken=True):
                while line := await watched.read(data.reader.readline):
                    if not line.endswith(b"\n"):
                        raise Interrupted(message("{name}: its listing broke off within a line", name=name))
                    try:
                        one = read(line, self._encoding)
                    except ValueError:
                        self._unread.add(name, line.decode(self._encoding, "surrogateescape"))
                        continue
                    if one is not None:
                        found.append(one)
                    check_count(len(found), name)
        finally:
            data.close()
        said = await control.finish(name, early=False)
        if "truncated" in said.lower():  # Pure-FTPd, beyond its LimitRecursion of 10,000 names unless set otherwise
            shown = "".join(one if one.isprintable() else "?" for one in said)[:100]
            raise Unsupported(
                message("{name}: the server lists only a part of the folder: {said}", name=name, said=shown)
            )
        return found


class _UnreadLines:
    """The lines of one listing that could not be read: it goes on without them, and is incomplete at its end."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._first: tuple[str, str] | None = None
        self._count = 0

    def add(self, folder: str, line: str) -> None:
        self._first = self._first or (folder, storable(line.rstrip("\r\n"))[:200])
        self._count += 1

    def raise_if_any(self) -> None:
        """Raise Unsupported, with the first line: it would be the same another time."""
        if self._first is not None:
            folder, line = self._first
            raise Unsupported(
                message(
                    "{folder}: {origin} lists {lines} that syncd cannot read, so files may be missing: {line!r}",
                    folder=folder,
                    origin=self._origin,
                    lines=count(self._count, "{n} line", "{n:,} lines"),
                    line=line,
                )
            )
