"""Watches manifest files: reads them, validates them against one another, and decides which are in force.

Rules:
1. A rejected manifest changes nothing: the last valid text of its file stays in force, and its problems are reported.
2. An editor or a checkout may have written only half a file, and half a manifest can be valid. So a changed file counts
   once two scans in a row read the same, and a deleted file once two scans miss it. A running checkout suspends scans.
3. If all manifests vanish at once, a folder is probably unmounted: they stay in force until SIGHUP confirms.
"""

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from manifests.messages import message
from manifests.model import ManifestError, ManifestProblem, Mirror, load_mirror, overlaps
from syncd.config import read_text_file
from syncd.daemon.schedule import cycle

SUFFIXES = (".yaml", ".yml")
NOT_MANIFESTS = ("syncd.yaml", "syncd.yml")
LOCKED = 30  # scans that a checkout may suspend in a row

Mark = tuple[int, int, int, int]
Load = Callable[[str, str], Mirror]

_NAMED = re.compile(r"^mirror: *[\"']?([a-z0-9][a-z0-9-]{0,62})[\"']? *(?:#.*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class DeclaredMirror:
    """A manifest in force."""

    mirror: Mirror
    text: str
    file: str
    since: float


@dataclass(slots=True)
class ManifestFile:
    """One manifest file as it was last read."""

    name: str
    mark: Mark | None = None
    text: str = ""
    mirror: Mirror | None = None
    problems: tuple[ManifestProblem, ...] = ()
    clashes: tuple[ManifestProblem, ...] = ()
    last_reported: tuple[ManifestProblem, ...] = ()
    pending: "ParsedManifest | None" = None
    gone: int = 0

    @property
    def all_problems(self) -> tuple[ManifestProblem, ...]:
        """The problems of the file, and its clashes with other manifests."""
        return (*self.problems, *self.clashes)

    @property
    def declared_name(self) -> str:
        """The name of the mirror that the text declares, or ""."""
        if self.mirror is not None:
            return self.mirror.name
        found = _NAMED.search(self.text)
        return found[1] if found is not None else ""


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The result of a scan: the files present, and the manifests parsed from changed ones."""

    there: dict[str, Mark | None]
    read: dict[str, "ParsedManifest"]


@dataclass(frozen=True, slots=True)
class ParsedManifest:
    """One parsed file: its text if it was readable, and its mirror or its problems."""

    text: str | None
    mirror: Mirror | None
    problems: tuple[ManifestProblem, ...] = ()


@dataclass(slots=True)
class Changes:
    """The changes of the manifests in force."""

    accepted: list[DeclaredMirror] = field(default_factory=list)
    rejected: list[ManifestFile] = field(default_factory=list)
    withdrawn: list[DeclaredMirror] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.accepted or self.rejected or self.withdrawn)


class ManifestWatcher:
    """The manifest files of a daemon, and the manifests in force."""

    def __init__(
        self, paths: Iterable[Path], *, load: Load = load_mirror, check: Callable[[Mirror], Iterable[ManifestProblem]]
    ) -> None:
        """`load` parses a text; `check` returns the problems of a mirror in this daemon."""
        self.paths = tuple(paths)
        self.in_force: dict[str, DeclaredMirror] = {}
        self.files: dict[str, ManifestFile] = {}
        self._load = load
        self._check = check
        self._locked = 0
        self._recheck = False
        self.vanished = False

    def parse(self, text: str, name: str, *, alone: bool = False) -> Mirror:
        """Parse and validate a manifest without putting it in force. Raises ManifestError.

        `alone`: its clashes with other mirrors, and with the configuration, are not looked for.
        """
        mirror = self._load(text, name)
        if alone:
            return mirror
        others = {key: one for key, one in self.in_force.items() if key != mirror.name}
        problems = tuple(self._clashes(ManifestFile(name, text=text, mirror=mirror), others))
        if problems:
            raise ManifestError(problems)
        return mirror

    def recheck_all(self) -> None:
        """Validate all manifests again at the next scan: the configuration they depend on has changed."""
        self._recheck = True

    @property
    def is_unsettled(self) -> bool:
        """True if a change waits for a second scan to confirm it."""
        return any(file.pending is not None for file in self.files.values())

    def scan(self) -> ScanResult | None:
        """Scan the paths; returns None during a checkout. Blocks: call it in a thread."""
        if self._locked < LOCKED and any((path / ".git/index.lock").exists() for path in self.paths):
            self._locked += 1
            return None
        self._locked = 0
        there: dict[str, Mark | None] = {}
        read: dict[str, ParsedManifest] = {}
        for file in self._present(there, read):
            name = str(file)
            try:
                found = file.stat()
                mark = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
                there[name] = mark
                known = self.files.get(name)
                if known is None or known.mark != mark:
                    read[name] = self._read(_text(file), name)
            except FileNotFoundError:
                if file in self.paths:
                    there[name] = None
                    read[name] = _unread(name, message("is not there"))
            except (OSError, UnicodeDecodeError) as error:
                there[name] = None
                why = error.strerror if isinstance(error, OSError) and error.strerror else message("not UTF-8 text")
                read[name] = _unread(name, message("cannot be read: {why}", why=why))
        return ScanResult(there, read)

    def _present(self, there: dict[str, Mark | None], read: dict[str, "ParsedManifest"]) -> Iterator[Path]:
        """Yield the files under the paths. If a folder cannot be listed, its manifests stay as they were.

        Otherwise a lack of descriptors, or a lost permission, would withdraw them. A problem names the folder.
        """
        unlisted: list[OSError] = []
        yield from _files(self.paths, unlisted.append)
        for error in unlisted:
            folder = str(error.filename)
            there[folder] = None
            read[folder] = _unread(folder, message("cannot be listed: {cause}", cause=error.strerror))
            there.update({name: file.mark for name, file in self.files.items() if name.startswith(f"{folder}/")})

    def apply(self, seen: ScanResult, now: float, *, at_once: bool = False) -> Changes:
        """Put the valid manifests of a scan in force; `at_once` needs no second scan, even if all files are missing."""
        touched = self._note_scan(seen, at_once=at_once) or at_once or self._recheck
        self._recheck = False
        left = [file for file in self.files.values() if file.name in seen.there]
        before = [file for file in self.files.values() if file.mirror is not None]
        self.vanished = not at_once and len(before) > 1 and not any(file in left for file in before)
        for file in list(self.files.values()):
            file.gone = 0 if file.name in seen.there or self.vanished else file.gone + 1
            if file.gone and (at_once or file.gone > 1):
                del self.files[file.name]
                touched = True
        return self._settle(now) if touched else Changes()

    def _read(self, text: str, name: str) -> ParsedManifest:
        try:
            return ParsedManifest(text, self._load(text, name))
        except ManifestError as error:
            return ParsedManifest(text, None, error.problems)

    def _note_scan(self, seen: ScanResult, *, at_once: bool) -> bool:
        """Accept files that read the same in two scans; returns True if there are any."""
        is_news = False
        for name, mark in seen.there.items():
            file = self.files.setdefault(name, ManifestFile(name))
            before, file.mark = file.pending, mark
            file.pending = said = seen.read.get(name, before)
            if said is None or (said != before and not at_once):
                continue
            file.pending, file.problems = None, said.problems
            if said.text is not None:  # else the last valid text stays in force
                file.text, file.mirror = said.text, said.mirror
            is_news = True
        return is_news

    def _settle(self, now: float) -> Changes:
        """Decide which manifests are in force."""
        changes, forced = Changes(), dict[str, DeclaredMirror]()
        by_file = {declared.file: declared for declared in self.in_force.values()}
        for file in sorted(self.files.values(), key=lambda file: (file.name not in by_file, file.name)):
            last = by_file.get(file.name)
            right = file.mirror is not None and not file.problems
            file.clashes = tuple(self._clashes(file, forced)) if right else ()
            if file.mirror is not None and not file.all_problems:
                same = last is not None and last.mirror == file.mirror
                declared = last if same and last is not None else DeclaredMirror(file.mirror, file.text, file.name, now)
                forced[declared.mirror.name] = declared
                if not same or file.last_reported:
                    changes.accepted.append(declared)
                continue
            if last is not None and last.mirror.name not in forced:
                forced[last.mirror.name] = last
            if file.all_problems != file.last_reported:
                changes.rejected.append(file)
        self._reject_cycles(forced, changes)
        for file in self.files.values():
            file.last_reported = file.all_problems
        changes.withdrawn = [declared for name, declared in self.in_force.items() if name not in forced]
        self.in_force = dict(sorted(forced.items()))
        return changes

    def _clashes(self, file: ManifestFile, forced: Mapping[str, DeclaredMirror]) -> Iterator[ManifestProblem]:
        mirror = file.mirror
        assert mirror is not None
        other = forced.get(mirror.name)
        if other is not None:
            yield problem_at(
                file,
                "mirror",
                message("{file} declares this mirror already", file=other.file),
                message("rename one of the two"),
            )
            return
        others = [declared.mirror for declared in forced.values()]
        clashes = overlaps([*others, mirror]) if others else []
        for clash in clashes:
            what, _, todo = clash.partition(": ")[2].rpartition(": ")
            yield problem_at(file, "store.prefix", what, todo)
        for problem in self._check(mirror):
            if clashes and problem.where == "store.prefix":
                continue  # the same folder, found in the Catalogue too
            yield problem_at(file, problem.where, problem.what, problem.todo)

    def _reject_cycles(self, forced: dict[str, DeclaredMirror], changes: Changes) -> None:
        """Reject mirrors whose `schedule.after` forms a cycle; earlier manifests of them stay in force."""
        afters = {
            name: one.mirror.schedule.after if one.mirror.schedule is not None else () for name, one in forced.items()
        }
        for name in cycle(afters):
            declared, last = forced[name], self.in_force.get(name)
            file = self.files.get(declared.file)
            if declared is last or file is None:
                continue
            ring = ", ".join(sorted(cycle(afters)))
            file.clashes = (
                problem_at(
                    file,
                    "schedule.after",
                    message("{ring} wait for one another", ring=ring),
                    message("let one of them go first"),
                ),
            )
            if declared in changes.accepted:
                changes.accepted.remove(declared)
            if file.all_problems != file.last_reported:
                changes.rejected.append(file)
            if last is not None:
                forced[name] = last
            else:
                del forced[name]


def problem_at(file: ManifestFile, where: str, what: str, todo: str) -> ManifestProblem:
    """Return a problem at the first line with its key, or at line 1: an approximation that parses no YAML."""
    key = where.rpartition(".")[2]
    found = re.search(rf"^(.*?){re.escape(key)} *:", file.text, re.MULTILINE)
    if found is None:
        return ManifestProblem(file.name, 1, 1, where, what, todo)
    line = file.text.count("\n", 0, found.start()) + 1
    return ManifestProblem(file.name, line, len(found[1]) + 1, where, what, todo)


def _files(paths: Iterable[Path], unlisted: Callable[[OSError], object] | None = None) -> Iterator[Path]:
    """Yield the manifest files under the paths, sorted; skips hidden files and folders.

    `unlisted` gets the error of each folder that could not be listed, apart from one that vanished meanwhile.
    """

    def failed(error: OSError) -> None:
        if unlisted is not None and not isinstance(error, FileNotFoundError | NotADirectoryError):
            unlisted(error)

    for path in paths:
        try:
            is_folder = stat.S_ISDIR(path.stat().st_mode)
        except OSError as error:
            failed(error)
            is_folder = not isinstance(error, FileNotFoundError | NotADirectoryError)
        if not is_folder:
            yield path
            continue
        for folder, folders, names in os.walk(path, onerror=failed):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if name.endswith(SUFFIXES) and not name.startswith(".") and name not in NOT_MANIFESTS:
                    yield Path(folder) / name


def manifest_files(path: Path) -> list[Path]:
    """Return the manifest files under a folder; `syncd.yaml` is the daemon's configuration and is skipped."""
    return list(_files([path]))


def _text(file: Path) -> str:
    return read_text_file(file).decode()


def _unread(name: str, what: str) -> ParsedManifest:
    return ParsedManifest(
        None,
        None,
        (ManifestProblem(name, 1, 1, "file", what, message("give the path of a manifest, or of a folder of them")),),
    )
