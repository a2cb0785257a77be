"""Writes docs/promises.md to standard output: `python -m tests.promises > docs/promises.md`."""

import sys

from tests.promises.marks import Refused, read_marks
from tests.promises.page import render, unheld


def main() -> int:
    """Print the page; 1 if a mark is no evidence, or a promise has no test."""
    try:
        held = read_marks()
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    if missing := unheld(held):
        print(f"held by no test: {', '.join(map(str, missing))}", file=sys.stderr)
        return 1
    sys.stdout.write(render(held))
    return 0


if __name__ == "__main__":
    sys.exit(main())
