"""Takes the pictures of docs/images: `make images`. They show a fleet in memory, so that they come out alike each time."""

import sys
import time
from pathlib import Path

from tests.api.conftest import OPERATOR
from tests.api.threaded_server import served_in_thread
from tests.browser import chromium
from tests.browser.page_actions import Page
from tests.browser.sample_fleet import SampleFleet
from tests.browser.test_clicks import paste

OUT = Path(__file__).parents[2] / "docs/images"
BROKEN = """\
mirror: physionet-mitdb
title: MIT-BIH Arrhythmia Database
source:
  url: http://physionet.org/files/mitdb/1.0.0/
  reader: checksum
  checksums: [SHA256SUMS.txt]
schedule: {every: 6 hours, cron: "0 3 * * *"}
guard: {max_removed: 10}
"""


def shoot(page, name, *, most=1500, **seen):
    """Take a picture as tall as the page, up to `most`."""
    width = seen.get("width", 1200)
    look = {"width": width, "height": 800, **seen}
    chromium.look(page.driver, **look)
    tall = min(most, page.run("return document.documentElement.scrollHeight"))
    chromium.look(page.driver, **{**look, "height": tall})
    page.run("document.activeElement?.blur()")
    page.run("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.driver.save_screenshot(str(OUT / f"{name}.png"))


def drawn(page):
    page.wait(lambda: len(page.all("figure[data-drawn] canvas")) == 2, "no curve")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    with chromium.opened() as driver, served_in_thread(SampleFleet(time.time()), tick=5.0) as daemon:
        page = Page(driver, daemon.url)
        chromium.look(driver, width=1200)
        page.go("/login")
        page.type("#token", OPERATOR)
        page.click("#login")
        page.wait_for("#who")
        shoot(page, "fleet", width=1200)
        shoot(page, "fleet-dark", width=1200, dark=True)
        chromium.look(driver, width=390, scale=2)
        page.go("/")
        shoot(page, "fleet-phone", width=390, most=900, scale=2)
        chromium.look(driver, width=1200, language="zh")
        page.go("/mirrors/landsat-c2")
        drawn(page)
        shoot(page, "mirror-zh", width=1200, language="zh", most=1250)
        chromium.look(driver, width=1200)
        page.go("/mirrors/era5-land")
        drawn(page)
        shoot(page, "mirror", width=1200, most=1300)
        page.go("/mirrors/ncbi-refseq")
        drawn(page)
        shoot(page, "parked", width=1200, most=1100)
        chromium.look(driver, width=1200, height=800)
        page.go("/mirrors/ncbi-refseq")
        page.click("#approve")
        driver.save_screenshot(str(OUT / "approve.png"))
        page.go("/check")
        paste(page, BROKEN)
        page.click("#check")
        page.wait_for("#result", "mistakes")
        shoot(page, "check", width=1200, most=1400)
        page.go("/mirrors/era5-land/files?prefix=2026/06/12/")
        shoot(page, "files", width=1200, most=900)
        complaints = page.complaints()
    with chromium.opened() as driver, served_in_thread(empty(), tick=5.0) as daemon:
        page = Page(driver, daemon.url)
        chromium.look(driver, width=1200)
        page.go("/")
        shoot(page, "first", width=1200)
    return len(complaints)


def empty():
    control = SampleFleet(time.time())
    control.by_name = {}
    return control


if __name__ == "__main__":
    sys.exit(main())
