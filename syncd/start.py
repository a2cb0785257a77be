"""Starts the command line without looking for garbage in what is imported: it lives as long as the process does."""

import gc

YOUNG = 10_000  # objects made between two looks at the youngest: a pass makes and frees hundreds for each file


def main() -> None:
    """Run `syncd`."""
    gc.disable()
    from syncd.cli import main as run  # noqa: PLC0415  after the line above

    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)
    gc.enable()
    run()
