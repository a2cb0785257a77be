"""Makes docs/promises.md: the promises and faults as a reader understands them, and the tests that hold each."""

import textwrap
from collections.abc import Iterable, Iterator

from tests.promises.marks import Held
from tests.promises.statements import FAULTS, NOT_YET, PROMISES

WIDTH = 118

HEAD = """\
<!-- Written by `make docs` from the marks of the tests; do not edit. -->

# Promises

syncd makes ten promises, and is built to survive 48 faults of upstreams, networks, disks and servers. Each of them
is held by tests that carry its mark: `@pytest.mark.promise("P4")`, `@pytest.mark.fault(10)`. The name of a test says
what it shows. A test that is skipped or expected to fail does not count.

`make mutants` takes out, one by one, the lines that keep a promise, and shows that a marked test fails each time; the
changes it tries are listed in `tests/promises/changes.py`. Run the tests of one promise or fault with
`python -m pytest --holds P4` or `python -m pytest --holds 10`.
"""


def render(held: Iterable[Held]) -> str:
    """Return the whole page."""
    tests = list(held)
    lines = [HEAD, "## The ten promises", "", "| | promise | held by |", "|---|---|---|"]
    lines += [f"| {name} | {short} | {_count(tests, name)} |" for name, (short, _) in PROMISES.items()]
    lines += ["", "## The 48 faults", "", "| fault | | what syncd does | held by |", "|---|---|---|---|"]
    lines += [f"| {number} | {what} | {does} | {_count(tests, number)} |" for number, (what, does) in FAULTS.items()]
    lines += ["", "## The tests of each promise"]
    for name, (short, whole) in PROMISES.items():
        lines += _section(tests, name, f"{name}: {short}.", whole)
    lines += ["", "## The tests of each fault"]
    for number, (what, does) in FAULTS.items():
        lines += _section(tests, number, f"{number}: {what}.", f"{does[0].upper()}{does[1:]}.")
    return "\n".join(lines) + "\n"


def unheld(held: Iterable[Held]) -> list[str | int]:
    """Return the promises and faults that no test holds although they are made."""
    tests = list(held)
    made: list[str | int] = [*PROMISES, *FAULTS]
    return [one for one in made if one not in NOT_YET and not any(one in test.holds for test in tests)]


def _anchor(one: str | int) -> str:
    return one.lower() if isinstance(one, str) else f"fault-{one}"


def _count(tests: list[Held], one: str | int) -> str:
    if one in NOT_YET:
        return "*not yet*"
    count = sum(one in test.holds for test in tests)
    return f"[{count} {'test' if count == 1 else 'tests'}](#{_anchor(one)})"


def _section(tests: list[Held], one: str | int, title: str, sentence: str) -> Iterator[str]:
    """Yield what is promised, and by file the tests that hold it."""
    if one in NOT_YET:
        return
    yield from ("", f'<a id="{_anchor(one)}"></a>', "", *textwrap.wrap(f"**{title}** {sentence}", WIDTH), "")
    file = ""
    for test in tests:
        if one in test.holds:
            if test.file != file:
                file = test.file
                yield f"* `{file}`"
            yield from textwrap.wrap(test.sentence, WIDTH, initial_indent="    * ", subsequent_indent="      ")
