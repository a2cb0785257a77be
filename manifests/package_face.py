"""The face of a package: its public names, each imported from its room when it is first used.

The names stand in `__init__.pyi`, where type checkers find them too. `lazy_loader` would parse it as Python, which
takes more than 20 ms for all packages: as long as everything else at the start of a command. Rule: a stub holds nothing
but `from .room import name as name` or `from . import room as room`, in parentheses if there are several lines.
"""

import re
from collections.abc import Callable
from typing import Any

import lazy_loader

_IMPORT = re.compile(r"from \.([\w.]*) import (?:\(([^)]*)\)|(.*))\n")
_NAME = re.compile(r"(\w+) as \1")


def face(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of the package whose `__init__.py` is `file`."""
    with open(f"{file.removesuffix('c')}i", encoding="utf-8") as stub:  # noqa: PTH123  pathlib is not imported here
        names = {room: _NAME.findall(several or one) for room, several, one in _IMPORT.findall(stub.read())}
    attached: tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]
    attached = lazy_loader.attach(package, names.pop("", ()), names)
    return attached
