"""Selects paths by gitignore-style globs: an include list and an exclude list; exclude has precedence.

Rules:
1. A glob means the same as a line of .gitignore: without a slash (except at its end) it matches at any depth, a
   leading slash anchors it at the top, a trailing slash means everything in that folder, `**` crosses folders.
2. Within one list the last matching glob decides, and `!glob` deselects what earlier globs of that list selected.
3. The matcher is called for each of maybe ten million files: the default is `everything`, which only returns True.
"""

import re
from collections.abc import Callable, Iterable
from itertools import groupby

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model.glob_expression import LONGEST, expression

Matcher = Callable[[str], bool]

_ALL = frozenset({"**", "/**", "**/*", "*"})  # each of these selects every file


def everything(path: str) -> bool:  # noqa: ARG001  selects without a check
    """Select every path."""
    return True


class GlobUse:
    """Globs of one list that have matched no path yet; once each has matched one, it costs next to nothing."""

    def __init__(self, globs: Iterable[str]) -> None:
        given = tuple(globs)
        # an include list that selects everything, whatever else it says, misses nothing
        selects_all = not _ALL.isdisjoint(given) and not any(glob.startswith("!") for glob in given)
        self._waiting = {} if selects_all else {glob: _compile(glob)[1].match for glob in given}
        self._any = self._joined()

    @property
    def unmatched(self) -> tuple[str, ...]:
        """Return the globs that matched nothing, in their order."""
        return tuple(self._waiting)

    def matched(self, path: str) -> list[str]:
        """Take note of a path, and return the globs that match it as the first one."""
        if not self._waiting or self._any(path) is None:
            return []
        found = [glob for glob, match in self._waiting.items() if match(path) is not None]
        for glob in found:
            del self._waiting[glob]
        self._any = self._joined()
        return found

    def noting(self, choose: Matcher, *, all_paths: bool) -> Matcher:
        """Return `choose`, which takes note of the paths that it selects, or of `all_paths`."""
        if not self._waiting or choose is everything:
            return choose

        def chosen(path: str) -> bool:
            is_chosen = choose(path)
            if (is_chosen or all_paths) and self._waiting:
                self.matched(path)
            return is_chosen

        return chosen

    def _joined(self) -> Callable[[str], object]:
        return re.compile("|".join(f"(?:{_compile(glob)[1].pattern})" for glob in self._waiting)).match


def matcher(
    include: Iterable[str] = ("**",),
    exclude: Iterable[str] = (),
    *,
    included: GlobUse | None = None,
    excluded: GlobUse | None = None,
) -> Matcher:
    """Return the function that returns True for wanted paths; it is `everything` if no path is excluded.

    `included` and `excluded` take note of the globs that match a path. Raises InvalidValue for an invalid glob.
    """
    include, exclude = tuple(include), tuple(exclude)
    wanted = _chooser(include)
    unwanted = _chooser(exclude)
    if included is not None and wanted is not None:
        wanted = included.noting(wanted, all_paths=_deselects(include))
    if excluded is not None and unwanted is not None:
        unwanted = excluded.noting(unwanted, all_paths=_deselects(exclude))
    if unwanted is None:
        return everything if wanted is everything else wanted or _nothing
    if wanted is None or unwanted is everything:
        return _nothing
    if wanted is everything:
        return lambda path: not unwanted(path)
    return lambda path: wanted(path) and not unwanted(path)


def check_glob(glob: str) -> str:
    """Return `glob` unchanged if it is valid; raises InvalidValue."""
    _compile(glob)
    return glob


def _deselects(globs: tuple[str, ...]) -> bool:
    return any(glob.startswith("!") for glob in globs)


def _nothing(path: str) -> bool:  # noqa: ARG001  selects without a check
    return False


def _chooser(globs: tuple[str, ...]) -> Matcher | None:
    """Return the matcher of one list, None if it can select nothing."""
    if globs and _ALL.issuperset(globs):
        return everything
    rules = [_compile(glob) for glob in globs]
    while rules and not rules[0][0]:
        del rules[0]  # nothing to deselect yet
    if not rules:
        return None
    if all(chosen for chosen, _ in rules) and not _ALL.isdisjoint(globs):
        return everything
    # adjacent globs of one kind become one expression: one match instead of many
    runs: list[tuple[bool, Callable[[str], object]]] = [
        (choice, re.compile("|".join(f"(?:{rule.pattern})" for _, rule in run)).match)
        for choice, run in groupby(reversed(rules), key=lambda rule: rule[0])
    ]
    if len(runs) == 1:
        match = runs[0][1]
        return lambda path: match(path) is not None

    def chosen(path: str) -> bool:
        for choice, match in runs:
            if match(path) is not None:
                return choice
        return False

    return chosen


def _compile(glob: str) -> tuple[bool, re.Pattern[str]]:
    """Return whether a glob selects or deselects, and its regular expression."""
    if not glob.strip() or glob in {"!", "/"}:
        raise InvalidValue(message("an empty glob"), message('write a glob, as in "**/*.nc", or drop the line'))
    if glob.startswith("#"):
        raise InvalidValue(
            message("{glob!r} would be a comment", glob=glob),
            message("write {escaped!r} for a name that begins with #", escaped=chr(92) + glob),
        )
    if glob.startswith("./") or "//" in glob or any(part == ".." for part in glob.split("/")):
        raise InvalidValue(
            message("{glob!r} can match no path", glob=glob),
            message("write it relative to the source, without ./, // or .."),
        )
    if any(ord(character) < 32 for character in glob):
        raise InvalidValue(
            message("{glob!r} contains a control character", glob=glob), message("write one glob per line")
        )
    if len(glob) > LONGEST:
        raise InvalidValue(
            message("the glob {glob!r}… has {count} characters", glob=glob[:40], count=len(glob)),
            message("write at most {longest}", longest=LONGEST),
        )
    selects, pattern = expression(glob)
    try:
        return selects, re.compile(pattern)
    except re.error as error:
        raise InvalidValue(
            message("{glob!r} is not a glob", glob=glob), message("write it as in a .gitignore file")
        ) from error
