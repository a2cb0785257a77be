"""Which paths a steward wants: gitignore-style globs, an include list and an exclude list, exclude wins.

Rules:
1. A glob is read as git reads a line of .gitignore: without a slash (but at its end) it holds at any depth, a leading
   slash ties it to the top, a slash at the end means everything in that folder, `**` crosses folders.
2. Within one list the last glob that fits decides, and `!glob` takes back what earlier ones of that list chose.
3. The matcher is called once a file, ten million times over: the default is `everything`, which looks at nothing.
"""

import re
from collections.abc import Callable, Iterable
from itertools import groupby

from manifests.errors import InvalidValue
from manifests.model.glob_expression import LONGEST, expression

Matcher = Callable[[str], bool]

_ALL = frozenset({"**", "/**", "**/*", "*"})  # in git's reading all of these choose every file


def everything(path: str) -> bool:  # noqa: ARG001  the choice that needs no look
    """Choose every path."""
    return True


def matcher(include: Iterable[str] = ("**",), exclude: Iterable[str] = ()) -> Matcher:
    """Return the function that tells whether a path is wanted; it is `everything` where nothing is left out.

    Raises InvalidValue for what is no glob.
    """
    wanted = _chooser(tuple(include))
    unwanted = _chooser(tuple(exclude))
    if unwanted is None:
        return everything if wanted is everything else wanted or _nothing
    if wanted is None or unwanted is everything:
        return _nothing
    if wanted is everything:
        return lambda path: not unwanted(path)
    return lambda path: wanted(path) and not unwanted(path)


def check_glob(glob: str) -> str:
    """Return `glob` itself if it is one; raises InvalidValue."""
    _compile(glob)
    return glob


def _nothing(path: str) -> bool:  # noqa: ARG001  the choice that needs no look
    return False


def _chooser(globs: tuple[str, ...]) -> Matcher | None:
    """Return what one list chooses, None where it can choose nothing."""
    if globs and _ALL.issuperset(globs):
        return everything
    rules = [_compile(glob) for glob in globs]
    while rules and not rules[0][0]:
        del rules[0]  # nothing to take back yet
    if not rules:
        return None
    if all(chosen for chosen, _ in rules) and not _ALL.isdisjoint(globs):
        return everything
    # neighbours that agree become one expression: one match where there would be many
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
    """Return whether a glob chooses or takes back, and the expression it stands for."""
    if not glob.strip() or glob in {"!", "/"}:
        raise InvalidValue("an empty glob", 'write a glob, as in "**/*.nc", or drop the line')
    if glob.startswith("#"):
        raise InvalidValue(f"{glob!r} would be a comment", f"write {chr(92) + glob!r} for a name that begins with #")
    if glob.startswith("./") or "//" in glob or any(part == ".." for part in glob.split("/")):
        raise InvalidValue(f"{glob!r} can match no path", "write it relative to the source, without ./, // or ..")
    if any(ord(character) < 32 for character in glob):
        raise InvalidValue(f"{glob!r} holds a control character", "write one glob a line")
    if len(glob) > LONGEST:
        raise InvalidValue(f"the glob {glob[:40]!r}… has {len(glob)} characters", f"write at most {LONGEST}")
    selects, pattern = expression(glob)
    try:
        return selects, re.compile(pattern)
    except re.error as error:
        raise InvalidValue(f"{glob!r} is not a glob", "write it as in a .gitignore file") from error
