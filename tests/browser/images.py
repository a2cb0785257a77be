"""Takes the pictures of docs/images: `make images`. They show a fleet in memory, so that they come out alike each time."""

import sys
import time
from pathlib import Path

from tests.api.conftest import OPERATOR
from tests.api.elsewhere import served_elsewhere
from tests.browser import chromium
from tests.browser.eyes import Eyes
from tests.browser.gallery import Gallery
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


def shoot(eyes, name, *, most=1500, **seen):
    """Take a picture as tall as the page, up to `most`."""
    width = seen.get("width", 1200)
    look = {"width": width, "height": 800, **seen}
    chromium.look(eyes.driver, **look)
    tall = min(most, eyes.run("return document.documentElement.scrollHeight"))
    chromium.look(eyes.driver, **{**look, "height": tall})
    eyes.run("document.activeElement?.blur()")
    eyes.run("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    eyes.driver.save_screenshot(str(OUT / f"{name}.png"))


def drawn(eyes):
    eyes.wait(lambda: len(eyes.all("figure[data-drawn] canvas")) == 2, "no curve")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    with chromium.opened() as driver, served_elsewhere(Gallery(time.time()), tick=5.0) as daemon:
        eyes = Eyes(driver, daemon.url)
        chromium.look(driver, width=1200)
        eyes.go("/login")
        eyes.type("#token", OPERATOR)
        eyes.click("#login")
        eyes.wait_for("#who")
        shoot(eyes, "fleet", width=1200)
        shoot(eyes, "fleet-dark", width=1200, dark=True)
        chromium.look(driver, width=390, scale=2)
        eyes.go("/")
        shoot(eyes, "fleet-phone", width=390, most=900, scale=2)
        chromium.look(driver, width=1200, language="zh")
        eyes.go("/mirrors/landsat-c2")
        drawn(eyes)
        shoot(eyes, "mirror-zh", width=1200, language="zh", most=1250)
        chromium.look(driver, width=1200)
        eyes.go("/mirrors/era5-land")
        drawn(eyes)
        shoot(eyes, "mirror", width=1200, most=1300)
        eyes.go("/mirrors/ncbi-refseq")
        drawn(eyes)
        shoot(eyes, "parked", width=1200, most=1100)
        chromium.look(driver, width=1200, height=800)
        eyes.go("/mirrors/ncbi-refseq")
        eyes.click("#approve")
        driver.save_screenshot(str(OUT / "approve.png"))
        eyes.go("/check")
        paste(eyes, BROKEN)
        eyes.click("#check")
        eyes.wait_for("#result", "mistakes")
        shoot(eyes, "check", width=1200, most=1400)
        eyes.go("/mirrors/era5-land/files?prefix=2026/06/12/")
        shoot(eyes, "files", width=1200, most=900)
        complaints = eyes.complaints()
    with chromium.opened() as driver, served_elsewhere(empty(), tick=5.0) as daemon:
        eyes = Eyes(driver, daemon.url)
        chromium.look(driver, width=1200)
        eyes.go("/")
        shoot(eyes, "first", width=1200)
    return len(complaints)


def empty():
    control = Gallery(time.time())
    control.by_name = {}
    return control


if __name__ == "__main__":
    sys.exit(main())
