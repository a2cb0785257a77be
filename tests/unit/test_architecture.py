"""The sheet of packages in docs/architecture.md is what the imports say."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHEET = runpy.run_path(str(ROOT / "deploy" / "architecture.py"))


def test_the_sheet_and_its_picture_are_written_from_the_imports():
    for path, text in SHEET["written"]():
        assert path.read_text("utf-8") == text, f"{path.relative_to(ROOT)}: run make docs"


@pytest.mark.parametrize("name", sorted(name for row in SHEET["floors"]() for name in row))
def test_a_package_states_its_duty_in_one_sentence(name):
    duty = SHEET["_duty"](name)
    assert duty.endswith(".")
    assert "\n" not in duty
