"""The page of promises is what the marks say, and a mark on a test that does not run is no evidence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.promises.change import Change
from tests.promises.changes import CHANGES
from tests.promises.marks import Refused, read_marks
from tests.promises.mutants import LONGEST, Stale, changed_text, selection, verdict_of
from tests.promises.page import render, unheld
from tests.promises.statements import FAULTS, NOT_YET, PROMISES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def held():
    return read_marks()


def test_the_page_of_promises_is_what_the_marks_say(held):
    assert (ROOT / "docs/promises.md").read_text() == render(held), "run `make docs`"


def test_every_promise_and_fault_is_held_by_a_test_or_said_to_be_for_later(held):
    assert (len(PROMISES), len(FAULTS)) == (10, 48)
    assert unheld(held) == []
    assert set() == NOT_YET
    page = render(held)
    assert "*not yet*" not in page


def test_what_no_test_holds_is_found(held):
    assert unheld([test for test in held if 44 not in test.holds]) == [44]


@pytest.mark.parametrize(
    ("above", "body", "why"),
    [
        ("@pytest.mark.fault(49)", "pass", "49 is no fault"),
        ('@pytest.mark.promise("P11")', "pass", "'P11' is no promise"),
        ("@pytest.mark.promise(1)", "pass", "1 is no promise"),
        ("@pytest.mark.fault", "pass", "names nothing"),
        ("@pytest.mark.fault()", "pass", "names nothing"),
        ("@pytest.mark.skip\n@pytest.mark.fault(1)", "pass", "never runs"),
        ('@pytest.mark.fault(1)\n@pytest.mark.skip(reason="later")', "pass", "never runs"),
        ('@pytest.mark.fault(1)\n@pytest.mark.skipif(True, reason="later")', "pass", "never runs"),
        ("@pytest.mark.fault(1)\n@pytest.mark.xfail", "pass", "never runs"),
        ('@pytest.mark.fault(1)\n@pytest.mark.xfail(reason="later")', "pass", "never runs"),
        ("@pytest.mark.fault(1)", 'pytest.skip("later")', "never runs"),
    ],
)
def test_a_mark_that_is_no_evidence_is_refused_with_its_place(tmp_path, above, body, why):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_x.py").write_text(f"import pytest\n\n\n{above}\ndef test_a():\n    {body}\n")
    with pytest.raises(Refused, match=rf"^tests/test_x.py:\d+: .*{why}"):
        read_marks(tmp_path / "tests")


@pytest.mark.parametrize("text", ["pytestmark = pytest.mark.skip", "pytestmark = [pytest.mark.xfail()]"])
def test_a_module_that_never_runs_holds_nothing(tmp_path, text):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_x.py").write_text(f"{text}\n@pytest.mark.fault(1)\ndef test_a():\n    pass\n")
    with pytest.raises(Refused, match="never runs"):
        read_marks(tmp_path / "tests")


def test_marks_of_functions_and_of_methods_are_read(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_x.py").write_text(
        '@pytest.mark.skipif(os.name == "nt", reason="no forks")\n@pytest.mark.fault(1, 2)\n@pytest.mark.promise("P1")\n'
        "def test_a_b():\n    pass\nclass Some:\n    @pytest.mark.fault(3)\n    async def test_c(self):\n        pass\n"
    )
    first, second = read_marks(tmp_path / "tests")
    assert (first.file, first.test, first.sentence, first.holds) == (
        "tests/test_x.py", "test_a_b", "a b", frozenset({1, 2, "P1"}),
    )  # fmt: skip
    assert (second.test, second.sentence, second.holds) == ("Some.test_c", "c", frozenset({3}))


def test_every_promise_and_fault_has_a_change_that_breaks_it():
    tried = {one for change in CHANGES for one in change.holds}
    assert tried == {*PROMISES, *FAULTS} - NOT_YET


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.breaks)
def test_every_change_fits_the_program_and_names_a_test_that_carries_its_mark(change, held):
    text = (ROOT / change.file).read_text()
    changed = changed_text(change, text)
    assert changed != text
    compile(changed, change.file, "exec")
    for short in (True, False):
        assert selection(change, held, short=short)[0]


def test_a_change_that_no_longer_fits_is_an_error():
    change = Change(("P1",), "nothing", "syncd/__init__.py", "a = 1", "a = 2", by="no_such_test")
    for text in ("", "b = 1\n", "a = 1\na = 1\n"):
        with pytest.raises(Stale, match=rf"stands there {text.count('a = 1')} times, not once"):
            changed_text(change, text)
    assert changed_text(change, "a = 1\n") == "a = 2\n"


def test_a_change_whose_test_does_not_carry_its_mark_is_an_error(held):
    by = "rule_4_never_everything"
    for wrong in (Change((44,), "x", "x", "x", "x", by=by), Change(("P5",), "x", "x", "x", "x", by="no_such_test")):
        with pytest.raises(Stale, match=f"no test {wrong.by} carries a mark"):
            selection(wrong, held, short=True)
    files, select = selection(Change(("P5",), "x", "x", "x", "x", by=by), held, short=True)
    assert (len(files), select) == (1, by)
    assert len(selection(Change(("P5",), "x", "x", "x", "x", by=by), held, short=False)[0]) > 1


def test_the_selection_a_contract_are_run_where_they_are_used(held):
    change = Change((47,), "x", "x", "x", "x", by="a_sweep_drops_old_stagings_and_no_others", among="TestFolder")
    files, select = selection(change, held, short=True)
    assert files == ["tests/contracts/test_stores.py"]
    assert select.endswith("and (TestFolder)")


SKIPPED = """
import pytest
@pytest.mark.fault(1)
def test_marked():
    pytest.skip("no such disk")
def test_other():
    pytest.skip("no such disk")
@pytest.mark.fault(2)
def test_runs():
    pass
@pytest.mark.promise("P1")
@pytest.mark.xfail(0 == 0, reason="some day")
def test_fails():
    assert False
"""


@pytest.mark.parametrize(("ci", "outcome"), [("", "2 skipped, 1 xfailed"), ("true", "2 failed, 1 passed, 1 skipped")])
def test_a_marked_test_that_was_skipped_fails_in_ci(tmp_path, ci, outcome):
    (tmp_path / "test_x.py").write_text(SKIPPED)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    fault: x\n    promise: x\n")
    environ = {name: value for name, value in os.environ.items() if name != "CI"} | ({"CI": ci} if ci else {})
    words = (sys.executable, "-m", "pytest", "-p", "tests.promises.plugin", "-p", "no:cacheprovider")
    done = subprocess.run(
        [*words, "--rootdir", tmp_path, "-c", tmp_path / "pytest.ini", tmp_path],
        cwd=ROOT, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert outcome in done.stdout, done.stdout + done.stderr
    assert ("holds 1, so it must run in CI" in done.stdout) is bool(ci)


def test_the_tests_that_hold_one_thing_can_be_run_alone(tmp_path):
    (tmp_path / "test_x.py").write_text(SKIPPED)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    fault: x\n    promise: x\n")
    words = (sys.executable, "-m", "pytest", "-p", "tests.promises.plugin", "-p", "no:cacheprovider", "--holds", "2")
    done = subprocess.run(
        [*words, "--rootdir", tmp_path, "-c", tmp_path / "pytest.ini", tmp_path],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "1 passed, 3 deselected" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("code", "said", "seconds", "verdict"),
    [
        (0, "1 passed in 0.10s", 0.1, "survived"),
        (1, "1 failed in 0.10s", 0.1, "killed"),
        (3, "INTERNALERROR> TypeError", LONGEST + 1.0, "killed"),
        (3, "INTERNALERROR> TypeError", 2.0, "error"),
        (1, "1 error in 0.10s", 0.1, "error"),
    ],
)
def test_a_changed_program_is_noticed_by_a_test_that_fails_or_never_ends_and_by_nothing_else(
    code, said, seconds, verdict
):
    assert verdict_of(code, said, seconds) == verdict
