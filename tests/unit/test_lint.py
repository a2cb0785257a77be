"""The house's lint: every rule catches what it is there to catch, and lets the rest pass."""

import subprocess
import sys

import pytest

from tests.conftest import ALONE, OPENING
from tests.lint.__main__ import ROOT, all_rules
from tests.lint.rules import conduct
from tests.lint.tree import PACKAGES, Finding, Tree

RULES = all_rules()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_catches_each_of_its_examples_and_lets_the_others_pass(rule):
    assert rule.bites, "a rule shows what it catches"
    for texts in rule.bites:
        found = rule.findings(Tree.imagined(texts))
        assert found, f"not caught: {texts}"
        assert {finding.path for finding in found} <= texts.keys()
    for texts in rule.allows:
        assert rule.findings(Tree.imagined(texts)) == [], texts


def test_a_rule_says_in_a_sentence_what_it_holds():
    assert {rule.name for rule in RULES if not rule.summary.endswith(".")} == set()


def test_a_rule_s_name_stands_once():
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_an_exception_by_path_names_a_file_that_exists():
    paths = {file.path for file in Tree.on_disk(ROOT).files}
    assert paths >= conduct.LAST_CATCH | conduct.ENVIRONMENT


def test_what_may_block_the_event_loop_exists():
    for file, name in (*OPENING, *ALONE):
        if file.split("/")[0] in PACKAGES:
            assert f"def {name}(" in (ROOT / file).read_text(), f"tests/conftest.py: {file} has no {name}"


def test_a_finding_names_its_file_and_line():
    assert str(Finding("syncd/copy.py", 7, "catches every exception")) == "syncd/copy.py:7: catches every exception"


def test_the_program_looks_at_the_real_tree_and_counts_it():
    done = subprocess.run(
        [sys.executable, "-m", "tests.lint", "top_folders"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("house rules: 1; files: ")
    assert len(Tree.on_disk(ROOT).modules) > 200


def test_an_unknown_rule_is_an_error_and_not_a_silent_pass():
    done = subprocess.run(
        [sys.executable, "-m", "tests.lint", "imagined"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no such rule: imagined" in done.stderr
