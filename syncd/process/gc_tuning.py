"""Excludes imported objects from garbage collection: they live as long as the process."""

import gc

YOUNG = 10_000  # allocations between two collections of the youngest generation: a pass makes hundreds for each file


def disable_during_imports() -> None:
    """Disable the garbage collector during imports."""
    gc.disable()


def enable_after_imports() -> None:
    """Enable the garbage collector for later objects, if `disable_during_imports` disabled it."""
    if not gc.isenabled():
        gc.freeze()
        gc.set_threshold(YOUNG, 20, 20)
        gc.enable()
