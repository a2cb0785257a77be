"""The README says what is so."""

import re
from pathlib import Path

import pytest

from manifests.model.mirror import load_mirror
from syncd.process import exit_codes

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_first_manifest_is_a_good_one():
    (text,) = re.findall(r"```yaml\n(mirror:.*?)```", README, re.DOTALL)
    assert load_mirror(text, "README.md").name == "physionet-mitdb"


def test_the_exit_codes_are_the_ones_that_commands_end_with():
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert told == {
        exit_codes.DONE,
        exit_codes.SOME_FAILED,
        exit_codes.USAGE,
        exit_codes.GUARDED,
        exit_codes.UNREACHABLE,
        exit_codes.INTERRUPTED,
    }


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^    make ([a-z -]+?)(?:  |$)", README, re.MULTILINE))))
def test_every_make_command_exists(command):
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in command.split())


def test_the_map_shows_places_that_exist():
    rows = re.findall(r"^\| (`[a-z]+/.*?) \|", README.split("## The map")[1].split("## The words")[0], re.MULTILINE)
    for row in rows:
        places = re.findall(r"`([^`]+)`", row)
        folder = places[0].split("/")[0]
        for place in places:
            assert (ROOT / place).exists() or (ROOT / folder / place).exists(), place
