"""Looks for garbage in what a command makes, and not in what it imports: that lives as long as the process does."""

import gc

YOUNG = 10_000  # objects made between two looks at the youngest: a pass makes and frees hundreds for each file


def disable_during_imports() -> None:
    """Look for none while modules are imported."""
    gc.disable()


def enable_after_imports() -> None:
    """Look for it in what is made from now on, if the program began with `disable_during_imports`."""
    if not gc.isenabled():
        gc.freeze()
        gc.set_threshold(YOUNG, 20, 20)
        gc.enable()
