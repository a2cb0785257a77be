"""Files of other projects are the ones that were published, and nothing is asked of anybody else."""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "syncd/web/static"
OURS = {"page.css", "page.js", "icon.svg", "land.svg"}
ROW = re.compile(r"^\| `([^`]+)` \| (\S+) ([\d.]+) \| .*? \| `([0-9a-f]{64})` \|$", re.MULTILINE)


@pytest.mark.parametrize("folder", [STATIC, ROOT / "tests/browser"], ids=["page", "tests"])
def test_every_vendored_file_is_as_it_was_published(folder):
    rows = ROW.findall((folder / "VENDORED.md").read_text())
    assert rows
    for name, _package, _version, digest in rows:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name


def test_whatever_is_served_is_ours_or_named_with_its_licence():
    text = (STATIC / "VENDORED.md").read_text()
    named = {name for name, *_ in ROW.findall(text)}
    licences = set(re.findall(r"`(LICENSE\.\w+)`", text))
    assert {path.name for path in STATIC.iterdir()} == OURS | named | licences | {"VENDORED.md"}


def test_the_page_asks_nobody_else():
    for path in (*STATIC.glob("page.*"), *(ROOT / "syncd/web/templates").iterdir()):
        urls = set(re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(https?:)?//", path.read_text()))
        assert urls == set(), path


def test_no_template_has_script_or_style_inside():
    for path in (ROOT / "syncd/web/templates").iterdir():
        text = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", text), path.name
