"""Old import paths of readers in other packages: they work in 0.2 and warn; 0.3 removes them."""

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def forwarding(old: str, new: str, renamed: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of the module `old`: looks names up in `new`, under the names in `renamed` or their own.

    Each use warns with a DeprecationWarning that gives the new name.
    """

    def look_up(name: str) -> Any:
        there = renamed.get(name, name)
        try:
            found = getattr(importlib.import_module(new), there)
        except AttributeError:
            raise AttributeError(f"module {old!r} has no attribute {name!r}", name=name) from None
        if not name.startswith("__"):
            message = f"{old}.{name} is going to be removed in 0.3: import {there} from manifests.reader_api"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
        return found

    return look_up
