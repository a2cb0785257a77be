"""Checks that a built site needs no network: `python deploy/site/offline.py site`.

Each address from which a browser loads something by itself must lie in the site: scripts, styles, fonts, pictures and
frames. Links that a reader follows may lead anywhere. A page with a Mermaid diagram fails too, because the theme would
fetch the library.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

LOADS = {"src", "srcset", "poster", "data", "action"}  # attributes a browser follows by itself, whatever the tag
LOADED_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect", "dns-prefetch", "manifest"}
FOREIGN = re.compile(r"(?:^|[\s,])(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
OF_STYLES = re.compile(r"""(?:url\(\s*['"]?|@import\s+['"])((?:https?:)?//[^'")\s]+)""", re.IGNORECASE)


class Loads(HTMLParser):
    """Collects what a page makes a browser load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note each attribute that is followed without the reader."""
        given = {name: value or "" for name, value in attrs}
        addresses = [value for name, value in given.items() if name in LOADS]
        if tag == "link" and set(given.get("rel", "").lower().split()) & LOADED_LINKS:
            addresses.append(given.get("href", ""))
        self.foreign += [f"<{tag}> {address}" for address in addresses if FOREIGN.search(address)]
        self.foreign += [f"<{tag} style> {address}" for address in OF_STYLES.findall(given.get("style", ""))]
        if "mermaid" in given.get("class", "").split():
            self.foreign.append(f"<{tag} class=mermaid>")

    def handle_data(self, data: str) -> None:
        """Note what an inline style loads."""
        if self.rawdata and self.cdata_elem == "style":
            self.foreign += [f"<style> {address}" for address in OF_STYLES.findall(data)]


def foreign_loads(site: Path) -> Iterator[str]:
    """Yield one line for each thing that would be loaded from another host."""
    for file in sorted(site.rglob("*.html")):
        page = Loads()
        page.feed(file.read_text("utf-8"))
        yield from (f"{file.relative_to(site)}: {one}" for one in page.foreign)
    for file in sorted(site.rglob("*.css")):
        yield from (f"{file.relative_to(site)}: {one}" for one in OF_STYLES.findall(file.read_text("utf-8")))


def main(site: Path) -> int:
    """Print what is loaded from elsewhere; the exit code says whether anything is."""
    pages = len(list(site.rglob("*.html")))
    found = list(foreign_loads(site))
    for line in found:
        print(line)
    print(f"{site}: {pages} pages, {len(found)} addresses of other hosts")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
