"""Tables of commands: printed without rich where that makes no difference."""

import io
import sys

import pytest

from syncd.cli import output

COLUMNS = ("mirror", ">files", "snapshot")
TABLES = [
    [],
    [("a", "1,234", "x"), ("longer name", "7", "")],
    [("Müller", "7", "\x1b[31m red")],
    [("観測", "7", "wide")],
    [("a", "1", "long " * 60)],
    [("two\nlines", "1", "")],
]


def printed(monkeypatch, rows):
    with monkeypatch.context() as context:
        context.setattr(sys, "stdout", io.StringIO())
        output.table(COLUMNS, rows)
        return sys.stdout.getvalue()


@pytest.mark.parametrize("rows", TABLES)
def test_a_table_looks_as_rich_prints_it(monkeypatch, rows):
    found = printed(monkeypatch, rows)
    monkeypatch.setattr(output, "_plain_table", lambda _columns, _lines: None)
    assert found == printed(monkeypatch, rows)
