"""Old import paths of readers in other packages: they work in 0.2 and warn; 0.3 removes them."""

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

FACE = "manifests.reader_api"


def forwarding(
    old: str, new: str, renamed: Mapping[str, str], adapted: Mapping[str, object] | None = None
) -> Callable[[str], Any]:
    """Return the `__getattr__` of the module `old`: looks names up in `new`, under the names in `renamed` or their own.

    `adapted` holds the objects that stand in for renamed ones whose methods were renamed as well. Each use warns with a
    DeprecationWarning that gives the new name, or says that there is none.
    """

    def look_up(name: str) -> Any:
        there = renamed.get(name, name)
        try:
            found = adapted[name] if adapted and name in adapted else getattr(importlib.import_module(new), there)
        except AttributeError:
            raise AttributeError(f"module {old!r} has no attribute {name!r}", name=name) from None
        if not name.startswith("__"):
            warn(f"{old}.{name}", there)
        return found

    return look_up


def warn(old: str, new: str) -> None:
    """Warn that the name `old` is removed in 0.3; `new` is its name in the face, if it is there."""
    is_public = new in importlib.import_module(FACE).__all__
    todo = f"import {new} from {FACE}" if is_public else f"it is not part of {FACE}"
    warnings.warn(f"{old} will be removed in 0.3: {todo}", DeprecationWarning, stacklevel=3)
