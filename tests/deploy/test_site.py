"""The documentation's site: pages written from code are up to date, the tutorial is true, and nothing is loaded from afar."""

import re
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "deploy" / "site"
TUTORIAL = run_path(str(SITE / "tutorial.py"))


def test_the_reference_pages_say_what_the_code_says():
    for file, text in run_path(str(SITE / "reference.py"))["written"]():
        assert file.read_text("utf-8") == text, f"{file.name}: run make docs"


def test_every_command_of_the_tutorial_prints_what_its_page_shows():
    for page, text in TUTORIAL["written"]():
        assert page.read_text("utf-8") == text, f"{page.name}: run make docs"


def test_the_tutorial_shows_the_same_blocks_in_both_languages():
    english, chinese = (TUTORIAL["BLOCK"].findall(page.read_text("utf-8")) for page in TUTORIAL["PAGES"])
    assert len(english) > 10
    assert english == chinese


def test_what_changes_from_run_to_run_is_no_difference():
    masked = TUTORIAL["masked"]
    assert masked("fetched; 5 kB in 1.0 s (5 kB/s)") == masked("fetched; 5 kB in 0.3 s (17.1 kB/s)")
    assert masked("2026-11-30T04:03:15Z  12") == masked("2027-01-01T00:00:00Z  12")
    assert masked("11 files") != masked("12 files")


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<script src="//cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="https://fonts.example/css">',
        '<link rel="preconnect" href="https://fonts.example">',
        '<link rel="shortcut icon" href="http://h.example/i.png">',
        '<img src="http://h.example/p.png">',
        '<img srcset="a.png 1x, https://h.example/p.png 2x">',
        '<iframe src="https://h.example/"></iframe>',
        '<div style="background: url(https://h.example/p.png)"></div>',
        "<style>@import 'https://h.example/a.css';</style>",
        '<pre class="mermaid">graph TD</pre>',
    ],
)
def test_a_page_that_loads_something_from_another_host_is_found(tmp_path, text):
    (tmp_path / "index.html").write_text(f"<html><body>{text}</body></html>")
    offline = run_path(str(SITE / "offline.py"))
    assert len(list(offline["foreign_loads"](tmp_path))) == 1
    assert offline["main"](tmp_path) == 1


def test_a_style_that_loads_a_font_from_another_host_is_found(tmp_path):
    (tmp_path / "a.css").write_text('@font-face {src: url("//fonts.example/f.woff2")}')
    (found,) = run_path(str(SITE / "offline.py"))["foreign_loads"](tmp_path)
    assert found == "a.css: //fonts.example/f.woff2"


def test_a_page_may_link_anywhere_and_load_its_own(tmp_path):
    own = '<a href="https://h.example/">h</a><script src="../a.js"></script><img src="data:image/png;base64,AA//BB">'
    (tmp_path / "index.html").write_text(f'<link rel="canonical" href="https://h.example/">{own}')
    assert run_path(str(SITE / "offline.py"))["main"](tmp_path) == 0


def test_a_folder_without_pages_is_no_site(tmp_path):
    assert run_path(str(SITE / "offline.py"))["main"](tmp_path) == 1


@pytest.mark.parametrize(
    ("page", "text", "shown"),
    [
        ("a.md", "[deploy/x.yaml](../deploy/x.yaml)", "`deploy/x.yaml`"),
        ("a.md", "[the unit](../deploy/systemd/)", "the unit (`deploy/systemd/`)"),
        ("a.md", "[metrics](metrics.md#x)", "[metrics](metrics.md#x)"),
        ("tutorial/a.md", "[m](../metrics.md)", "[m](../metrics.md)"),
        ("tutorial/a.md", "[m](../../deploy/m)", "m (`deploy/m`)"),
    ],
)
def test_a_link_out_of_the_pages_becomes_the_path(page, text, shown):
    of = SimpleNamespace(file=SimpleNamespace(src_uri=page), meta={})
    assert run_path(str(SITE / "hooks.py"))["on_page_markdown"](text, page=of) == shown


def test_lines_of_a_chinese_paragraph_are_joined_without_a_space():
    of = SimpleNamespace(file=SimpleNamespace(src_uri="a.md"), meta={"lang": "zh"})
    joined = run_path(str(SITE / "hooks.py"))["on_page_markdown"]("第一行，\n第二行。\n\n* 三\n* four\n", page=of)
    assert joined == "第一行，第二行。\n\n* 三\n* four\n"


def test_every_page_stands_in_the_navigation():
    listed = set(re.findall(r"[\w/.-]+\.md", (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]))
    pages = {
        str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md") if page.parent.name != "adr"
    }
    made = set(run_path(str(SITE / "hooks.py"))["FROM_THE_TOP"])
    assert listed == pages | made
