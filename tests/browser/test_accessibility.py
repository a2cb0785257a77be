"""Every page, in both colours and languages, on a phone too: axe-core finds nothing, nothing is cut off, no policy is broken."""

from pathlib import Path

import pytest

from tests.browser.chromium import look
from tests.fakes_control import digest

AXE = (Path(__file__).parent / "axe.min.js").read_text("utf-8")
LOOK = """
const done = arguments[0];
axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
  .then(found => done(found.violations.map(one => `${one.id}: ${one.help}: ${one.nodes.map(n => n.html).slice(0, 3).join(" ")}`)))
"""
PATHS = [
    "/", "/mirrors/idle", "/mirrors/running", "/mirrors/failing", "/mirrors/paused", "/mirrors/idle/passes/7",
    "/mirrors/idle/files", "/mirrors/idle/file?path=a/file00.nc", "/mirrors/idle/parked", "/check", "/audit", "/nothing",
    f"/mirrors/idle/diff?before={digest(1)}&after={digest(2)}", "/mirrors/idle/passes",
]  # fmt: skip


def violations(page):
    page.run(AXE)
    return page.driver.execute_async_script(LOOK)


@pytest.mark.parametrize(
    ("dark", "language", "paths"),
    [(False, "en", PATHS), (True, "zh", ["/", "/mirrors/running", "/mirrors/failing"])],
    ids=["light-en", "dark-zh"],
)
def test_who_cannot_see_or_point_can_use_every_page(operator, dark, language, paths):
    look(operator.driver, dark=dark, language=language)
    for path in paths:
        operator.go(path)
        assert violations(operator) == [], path


def test_axe_finds_what_is_wrong(page):
    page.go("/")
    page.run("document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=\"\"><button></button>')")
    assert {one.split(":")[0] for one in violations(page)} >= {"image-alt", "button-name"}


def test_the_login_and_an_open_dialog_too(page, operator):
    operator.go("/mirrors/idle")
    operator.click("#approve")
    assert violations(operator) == []
    operator.go("/login")
    assert violations(operator) == []


def test_a_phone_shows_every_page_without_scrolling_sideways(operator):
    look(operator.driver, width=360, height=740)
    for path in (*PATHS, "/login"):
        operator.go(path)
        assert operator.run("return document.documentElement.scrollWidth") <= 360, path


def test_no_page_breaks_its_own_policy_or_complains(operator):
    for path in (*PATHS, "/login"):
        operator.go(path)
        operator.wait(lambda: operator.run("return document.readyState") == "complete", path)
        assert [one for one in operator.complaints() if "404 (Not Found)" not in one or path != "/nothing"] == [], path


def test_a_policy_that_is_broken_is_noticed(page):
    page.go("/")
    page.run("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">x</p>')")
    assert any("Content Security Policy" in one for one in page.complaints())
