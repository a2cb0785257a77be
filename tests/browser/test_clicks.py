"""The status page in a real browser, with real clicks and keys."""

import msgspec
import pytest

from syncd.config.api_access import ApiSettings
from syncd.core.events import Published, StateChanged
from tests.api.conftest import NOW, OPERATOR
from tests.api.threaded_server import served_in_thread
from tests.browser.chromium import look
from tests.browser.page_actions import KEYS, Page
from tests.fakes_control import FakeControl

BROKEN = "mirror: x\nsource:\n  url: https://example.org/\n  reader: nonsense\n"
GOOD = "mirror: new\nsource: {url: https://example.org/, reader: autoindex}\n"


def paste(page, text):
    """Put a text into the field as a paste does."""
    page.run("const field = document.getElementById('text'); field.focus(); field.select()")
    page.driver.execute_cdp_cmd("Input.insertText", {"text": text})


def test_parked_removals_are_approved_after_a_second_thought(operator, daemon):
    operator.go("/mirrors/idle")
    operator.click("#approve")
    operator.wait(lambda: operator.run("return document.getElementById('approving').matches(':modal')"), "no dialog")
    assert "Delete or replace 3 files?" in operator.text("#approving")
    assert "old/0" in operator.text("#approving")
    operator.click("#approving [data-closes]")
    assert daemon.control.mirror("idle").parked == 3
    operator.click("#approve")
    operator.press(KEYS.ESCAPE)
    assert not operator.run("return document.getElementById('approving').open")
    assert daemon.control.audited == []
    operator.click("#approve")
    operator.click("#approve-yes")
    operator.wait_for("#done", "Approved: the next pass deletes or replaces exactly these files")
    assert daemon.control.mirror("idle").parked == 0
    operator.wait_until_gone("#parked")
    assert [one.who for one in daemon.control.audited] == ["ops"]
    assert not operator.all("dialog[open]")
    assert operator.complaints() == []


def test_removals_that_came_since_are_not_approved_unseen(operator, daemon):
    operator.go("/mirrors/idle")
    view = daemon.control.by_name["idle"]
    operator.click("#approve")
    daemon.control.by_name["idle"] = msgspec.structs.replace(view, parked=40)
    operator.click("#approve-yes")
    operator.wait_for("#main", "you saw 3 losses, and 40 are held now")
    assert daemon.control.mirror("idle").parked == 40


def test_sync_now_pause_resume_and_stop(operator, daemon):
    operator.go("/mirrors/idle")
    operator.click("#act-sync")
    operator.wait_for("#done", "A pass starts")
    operator.wait_for("#live", "2 transfers in progress")
    assert daemon.control.mirror("idle").state == "running"
    operator.click("#act-cancel")
    operator.wait_for("#done", "The pass is stopping")
    operator.wait_until_gone("#live")
    operator.click("#act-pause")
    operator.wait_for("#spoken", "Paused")
    operator.click("#act-resume")
    operator.wait_for("#done", "Resumed")
    assert [one.what for one in daemon.control.audited] == ["sync", "cancel", "pause", "resume"]
    operator.go("/audit")
    assert "ops Resume idle resumed" in operator.text("main")


def test_a_broken_manifest_shows_its_mistakes_by_line(page):
    page.go("/check")
    paste(page, BROKEN)
    page.click("#check")
    page.wait_for("#result", "1 mistake")
    assert "Line 4" in page.text(".mistakes")
    assert "reader: nonsense" in page.text("#line-4.wrong")
    paste(page, GOOD)
    page.click("#check")
    page.wait_for("#result", "new: no mistakes")
    assert page.complaints() == []


def test_an_operator_sees_the_plan_before_it_runs(operator):
    operator.go("/check")
    paste(operator, GOOD)
    operator.click("#plan")
    operator.wait_for("#plan-shown", "What a pass over new would do now")
    shown = operator.text("#plan-shown")
    assert "download new/0 new upstream Copied from other: 0/a 1 kB" in shown
    assert "download new/1 new upstream 1 kB" in shown


def test_the_language_is_switched_with_one_click_and_stays(page):
    page.go("/mirrors/idle")
    page.click("#language-zh")
    page.wait_for("#past", "同步记录")
    assert page.run("return document.documentElement.lang") == "zh-Hans"
    page.click(".brand")
    page.wait_for("h1", "镜像")
    page.click("#language-en")
    page.wait_for("h1", "Mirrors")


def test_a_browser_that_prefers_chinese_is_spoken_to_in_chinese(page):
    look(page.driver, language="zh-CN,zh;q=0.9,en;q=0.5")
    page.go("/")
    assert page.text("h1") == "镜像"


def test_dark_is_dark_and_light_is_light(page):
    script = (
        "const c = getComputedStyle(document.body); return [c.backgroundColor, c.color].map(s => +s.match(/\\d+/)[0])"
    )
    page.go("/")
    paper, ink = page.run(script)
    assert paper > 200
    assert ink < 100
    look(page.driver, dark=True)
    paper, ink = page.run(script)
    assert paper < 60
    assert ink > 200


def test_what_happens_is_seen_without_a_reload(page, daemon):
    page.go("/")
    page.run("window.same = true")
    page.wait(lambda: page.run("return performance.getEntriesByType('resource').length > 2"), "nothing was loaded")
    view = daemon.control.by_name["idle"]
    daemon.control.by_name["idle"] = msgspec.structs.replace(view, state="failing", reason="https://x: nobody answered")
    page.wait(
        lambda: daemon.feed(StateChanged("idle", "failing", "")) or "nobody answered" in page.text("#mirror-idle"), ""
    )
    assert page.run("return window.same")


def test_bars_move_while_files_arrive(page, daemon):
    page.go("/mirrors/running")
    page.wait_for("#live", "1 MB / 4 MB")
    view = daemon.control.by_name["running"]
    first, second = view.progress.transfers
    transfers = (msgspec.structs.replace(first, received=3_000_000), second)
    progress = msgspec.structs.replace(view.progress, transfers=transfers, bytes_done=5_000_000)
    daemon.control.by_name["running"] = msgspec.structs.replace(view, progress=progress)
    page.wait_for("#live", "3 MB / 4 MB")
    bars = [bar.get_attribute("value") for bar in page.all("#live progress")]
    assert bars[:2] == ["5000000", "3000000"]


def test_a_dialog_stays_open_while_the_page_renews_itself(operator, daemon):
    operator.go("/mirrors/idle")
    operator.click("#approve")
    for n in range(3):
        daemon.feed(Published("idle", f"{n}", 1, 1, changed=True))
        operator.wait(
            lambda: operator.run("return document.getElementById('approving').matches(':modal')"), "it closed"
        )


def test_curves_are_drawn_and_follow_the_colours(page):
    page.go("/mirrors/running")
    page.wait(lambda: len(page.all("figure[data-drawn='60'] canvas")) == 2, "no curve")
    dots = "const c = arguments[0], d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; return d.some(v => v > 0)"
    assert all(page.run(dots, canvas) for canvas in page.all("figure canvas"))
    look(page.driver, dark=True)
    page.wait(lambda: len(page.all("figure canvas")) == 2, "a curve was lost")


def test_among_many_mirrors_one_is_found_by_typing(page, daemon):
    view = daemon.control.by_name["running"]
    daemon.control.by_name = {f"m{n:02}": msgspec.structs.replace(view, name=f"m{n:02}") for n in range(20)}
    page.go("/")
    page.type("#filter", "m17")
    shown = (
        "return [...document.querySelectorAll('table.mirrors tbody tr')].filter(row => !row.hidden).map(row => row.id)"
    )
    assert page.run(shown) == ["mirror-m17"]
    renewed = "return performance.getEntriesByType('resource').filter(one => one.initiatorType === 'fetch').length"
    page.wait(lambda: page.run(renewed) > 0, "the page never renewed itself")
    page.wait(lambda: page.run(shown) == ["mirror-m17"], "the filter was forgotten")
    assert page.find("#filter").get_attribute("value") == "m17"


def test_a_session_that_ends_leads_to_the_login_and_never_to_an_empty_page(driver):
    with served_in_thread(FakeControl(NOW), settings=ApiSettings(read="token")) as daemon:
        look(driver)
        page = Page(driver, daemon.url)
        page.go("/")
        page.type("#token", OPERATOR, KEYS.ENTER)
        page.wait_for("#fleet", "idle")
        daemon.tokens.replace(())
        page.wait(lambda: daemon.feed(StateChanged("idle", "idle", "")) or page.all("#login"), "no login")
        assert driver.current_url.startswith(f"{daemon.url}/login")
        driver.get("about:blank")


def test_the_page_works_without_scripts(page, daemon):
    page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.go("/login?back=/mirrors/idle")
        page.type("#token", OPERATOR, KEYS.ENTER)
        page.wait_for("h1", "The idle archive")
        page.click("#act-pause")
        page.wait_for("#done", "Paused")
        assert daemon.control.mirror("idle").state == "paused"
    finally:
        page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_everything_can_be_done_with_the_keyboard(operator, daemon):
    operator.go("/mirrors/idle")
    operator.press(KEYS.TAB)
    assert operator.run("return document.activeElement.className") == "skip"
    operator.press(KEYS.ENTER)
    assert operator.run("return document.activeElement.id") == "main"
    for _ in range(40):
        operator.press(KEYS.TAB)
        if operator.run("return document.activeElement.id") == "approve":
            break
    outline = operator.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    operator.press(KEYS.ENTER)
    seen = set()
    for _ in range(6):
        operator.press(KEYS.TAB)
        seen.add(operator.run("return document.activeElement.closest('dialog')?.id ?? document.activeElement.tagName"))
    assert seen <= {"approving", "BODY"}
    while operator.run("return document.activeElement.id") != "approve-yes":
        operator.press(KEYS.TAB)
    operator.press(KEYS.ENTER)
    operator.wait_for("#done", "Approved")
    assert daemon.control.mirror("idle").parked == 0


def test_a_login_by_hand_leads_back_and_a_logout_ends_it(page):
    page.go("/mirrors/idle")
    page.click("#acts a")
    page.type("#token", OPERATOR)
    page.click("#login")
    page.wait_for("#who", "ops")
    assert page.text("h1").startswith("The idle archive")
    assert page.all("#act-sync")
    page.click(".who button")
    page.wait_until_gone("#who")


def test_a_wrong_token_says_so_on_the_page(page):
    page.go("/login")
    page.type("#token", "syncd_wrong", KEYS.ENTER)
    page.wait_for("#login-wrong", "the token is unknown")
    assert page.find("#token").get_attribute("value") == ""


@pytest.mark.parametrize("path", ["/", "/mirrors/running"])
def test_nothing_jumps_while_the_page_renews_itself(page, daemon, path):
    page.go(path)
    page.wait(lambda: path == "/" or len(page.all("figure canvas")) == 2, "no curve")
    page.run("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.run(
        "window.moved = 0; new PerformanceObserver(list => { for (const one of list.getEntries()) window.moved += one.value })"
        ".observe({type: 'layout-shift'})"
    )
    renewed = "return performance.getEntriesByType('resource').filter(one => one.initiatorType === 'fetch').length"
    before = page.run(renewed)
    page.wait(lambda: page.run(renewed) > before, "the page never renewed itself")
    assert page.run("return window.moved") < 0.01


def test_no_column_is_as_wide_as_what_stands_in_it(page, daemon):
    """A row that comes later, while the page loads or renews itself, must not move those that are there."""

    def edges():
        return page.run(
            "return [...document.querySelectorAll('.mirrors thead th')].map(one => one.getBoundingClientRect().x)"
        )

    for width in (1000, 1280):
        look(page.driver, width=width)
        page.go("/")
        whole = edges()
        page.run("document.getElementById('mirror-running').remove()")
        assert edges() == whole
        page.run("for (const one of document.querySelectorAll('.mirrors td')) one.textContent = ''")
        assert edges() == whole


def test_the_field_that_a_script_brings_moves_nothing(page, daemon):
    daemon.control.by_name |= {
        f"more-{n}": msgspec.structs.replace(daemon.control.by_name["idle"], name=f"more-{n}") for n in range(12)
    }
    for width in (390, 1280):
        look(page.driver, width=width)
        page.go("/")
        page.wait_for("#filter")
        height = "return document.querySelector('.headline').getBoundingClientRect().height"
        shown = page.run(height)
        page.run("document.getElementById('filter').hidden = true")
        assert page.run(height) == shown
