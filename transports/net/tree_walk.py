"""What servers that show folders (FTP, SFTP) have in common: the path of a file, the walk of a tree, a read in bounds.

Rules:
1. A tree is walked folder by folder. Files come in the order of their whole paths: `a-b` before `a/b` before `a0`.
2. A folder that cannot be listed is an error, never a folder without files. All others are listed first.
3. A name in a folder is one part of a path: a slash in it is refused.
4. A name that is not text in the encoding of the server is listed as a file, its bytes escaped, so that the plan
   refuses it by name; such a folder is not entered.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from manifests.messages import count, message
from manifests.origins import origin_of
from manifests.stat import Stat, UnsafePath, check_source_path, storable
from syncd.core import Changed, Denied, NotFound, Page, TooLarge, Unsafe, Unsupported
from transports.net import urls

PAGE = 1000  # files
DEEPEST = 64  # folders below one another
MAX_NAMES = 2_000_000  # in one folder, which is in memory during its walk

Listing = Iterable[tuple[str, Stat | None]]
"""What one folder holds, sorted by whole paths; the path of a folder ends in `/`, and its Stat is None."""


@dataclass(frozen=True, slots=True)
class ServerTree:
    """The tree below one url of a server; `to_server` turns the path of a url into the server's own."""

    url: str
    encoding: str
    to_server: Callable[[str], str]

    @property
    def origin(self) -> str:
        """The origin of the server."""
        return origin_of(self.url)

    @property
    def folder(self) -> str:
        """The server's path of the tree."""
        return self._from_url(self.url)

    def locate(self, path: str) -> tuple[str, str]:
        """Return the server's path of a file, and its name in messages.

        `path` is relative to the tree, or a url on the same server. Raises Unsafe, Unsupported.
        """
        name = urls.shown(path or self.url)
        if not urls.is_absolute(path):
            try:
                return self.folder + (check_source_path(path) if path else ""), name
            except UnsafePath as error:
                raise Unsafe(str(error)) from error
        try:
            is_ours = origin_of(path) == self.origin
        except ValueError as error:
            raise Unsafe(message("{name}: this url {cause}", name=name, cause=error)) from error
        if not is_ours:
            raise Unsupported(message("{name}: not on {origin}", name=name, origin=self.origin))
        found = self._from_url(path)
        if "\0" in found:
            raise Unsafe(message("{name}: contains a NUL character", name=name))
        return found, name

    def _from_url(self, url: str) -> str:
        return self.to_server(unquote(urlsplit(url).path, self.encoding, "surrogateescape"))


@dataclass(frozen=True, slots=True)
class Selection:
    """The files of a tree whose paths begin with `prefix` and sort behind `after`."""

    prefix: str
    after: str

    def file(self, above: str, name: str) -> str | None:
        """Return the path of a file in the folder `above` if it is selected, else None. Raises Unsafe."""
        path = _below(above, name)
        return path if path > self.after and path.startswith(self.prefix) else None

    def folder(self, above: str, name: str) -> str | None:
        """Return the path of a folder, with its `/`, if selected files may be in it, else None. Raises Unsafe.

        A folder whose name is not text has the path of a file.
        """
        path = f"{_below(above, name)}/"
        if path != f"{above}{name}/":
            return self.file(above, name)
        is_ahead = path >= self.after[: len(path)]
        return path if is_ahead and (path.startswith(self.prefix) or self.prefix.startswith(path)) else None


class UnlistedFolders:
    """The folders of one listing that could not be listed: it goes on without them, and is incomplete at its end."""

    def __init__(self) -> None:
        self._first: Denied | NotFound | None = None
        self._count = 0

    def add(self, error: Denied | NotFound) -> None:
        """Count a folder that was refused."""
        self._first = self._first or error
        self._count += 1

    def raise_if_any(self) -> None:
        """Raise the first error, with the number of folders."""
        if self._first is None:
            return
        raise type(self._first)(
            message(
                "{folders} could not be listed, so files may be missing: {cause}",
                folders=count(self._count, "{n} folder", "{n:,} folders"),
                cause=self._first,
            )
        ) from self._first


async def walk_tree(list_folder: Callable[[str], Awaitable[Listing]]) -> AsyncGenerator[Page, None]:
    """Yield the files of a tree, a page at a time. `list_folder` is called with "" for the top.

    Raises TooLarge; and, at the end, Denied or NotFound if a folder could not be listed.
    """
    page: list[Stat] = []
    unlisted = UnlistedFolders()
    walked: list[Iterator[tuple[str, Stat | None]]] = [iter(await list_folder(""))]
    while walked:
        path, stat = next(walked[-1], ("", None))
        if not path:
            walked.pop()
        elif stat is not None:
            page.append(stat)
            if len(page) >= PAGE:
                yield page
                page = []
        else:
            if len(walked) > DEEPEST:
                raise TooLarge(message("{path}: more than {deepest} folders deep", path=path, deepest=DEEPEST))
            try:
                walked.append(iter(await list_folder(path)))
            except (Denied, NotFound) as error:
                unlisted.add(error)
    if page:
        yield page
    unlisted.raise_if_any()


def check_count(count: int, name: str) -> None:
    """Raise TooLarge for a folder of more than MAX_NAMES names."""
    if count > MAX_NAMES:
        raise TooLarge(message("{name}: more than {max_names} names in one folder", name=name, max_names=MAX_NAMES))


def read_stop(
    stat: Stat, start: int, stop: int | None, version: str | None, *, binding: tuple[str, ...] = ('"', "modified:")
) -> int | None:
    """Return where a read of `[start, stop)` ends: at most at the size of the file; None if nothing is known of it.

    A `version` that begins with one of `binding` must be the version of the file. Raises Changed, Unsupported.
    """
    path, size = stat.path, stat.size
    if version is not None and version != stat.version and version.startswith(binding):
        raise Changed(message("{path}: version {before} became {after}", path=path, before=version, after=stat.version))
    if size is not None:
        if start > 0 and start >= size:
            raise Unsupported(
                message("{path}: has {size} bytes, none from {start} on", path=path, size=size, start=start)
            )
        stop = size if stop is None else min(stop, size)
    if stop is not None and start > stop:
        raise Unsupported(message("{path}: bytes {start}-{stop} are an empty range", path=path, start=start, stop=stop))
    return stop


def check_unchanged(before: Stat, now: Stat) -> None:
    """Raise Changed if a file is no longer the one that was described before its first byte was read."""
    if now.version != before.version or now.size != before.size:
        raise Changed(
            message(
                "{path}: version {before} became {after} while it was read",
                path=before.path,
                before=before.version,
                after=now.version,
            )
        )


def _below(above: str, name: str) -> str:
    if "/" in name or not name:
        raise Unsafe(message("{above}{name}: a slash in a name", above=above, name=name))
    return above + storable(name)
