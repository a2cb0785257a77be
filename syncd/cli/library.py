"""The library of ready-made manifests that comes with syncd.

Each is a mirror manifest whose first comments have further information: `# whose:`, `# size:`, `# listed:`, `#
verified:`, `# access:`, `# fill in:`, `# contact:`. `python -m syncd.cli.library` writes docs/sources.md and
manifests/library/index.json of them.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from manifests.messages import message, plain
from manifests.model import MARK, Mirror, load_mirror
from manifests.yaml import nearest
from syncd.cli.library_index import INDEX
from syncd.core import ConfigError

NOTES = ("whose", "size", "listed", "verified", "access", "fill in", "contact")
NOTHING = "nothing"  # a note of `fill in` begins so if the manifest can be used unchanged

_PASSING_ON = {
    "allowed": "allowed by the licence",
    "conditions": "under the licence's conditions",
    "forbidden": "forbidden: `publish:` is refused",
    "unknown": "not known: ask the publisher first",
}
_NOTE = re.compile(rf"# ({'|'.join(NOTES)}): +(\S.*)")
_PAGE = """\
# Sources

The manifests that come with syncd, in `manifests/library/`. `make docs` writes this page from them.

    syncd library list                        # all of them
    syncd library show NAME                   # one of them, with its pitfalls
    syncd library add NAME manifests.d/       # copy it, and list the values to fill in
    syncd check manifests.d/

Sizes are estimates. *Verification* names the checksums that a pass requires for each file, beside the size from
upstream. If upstream publishes no checksum, files are *attested*: by their size, and later by syncd's own sha256. The
manifest says which facts could not be confirmed on the server itself.
"""


@dataclass(frozen=True)
class LibraryManifest:
    """One manifest of the library."""

    name: str
    field: str
    text: str

    @cached_property
    def mirror(self) -> Mirror:
        """The mirror that it declares."""
        return load_mirror(self.text, f"{self.field}/{self.name}.yaml")

    @cached_property
    def notes(self) -> dict[str, list[str]]:
        """Its first comments, by name; only `fill in` may occur more than once."""
        found: dict[str, list[str]] = {name: [] for name in NOTES}
        for line in self.text.splitlines():
            if not line.startswith("# "):
                break
            if (note := _NOTE.fullmatch(line)) is not None:
                found[note[1]].append(note[2])
        return found

    @property
    def summary(self) -> dict[str, Any]:
        """What `syncd library list --json` prints of it."""
        about = self.mirror.about
        return {
            "name": self.name,
            "field": self.field,
            "title": self.mirror.title,
            "url": self.mirror.source.url,
            "reader": self.mirror.source.reader,
            "licence": about.licence,
            "citation": about.citation,
            "access": about.access,
            "redistribution": about.redistribution,
            "whose": self.note("whose"),
            "size": self.note("size"),
            "listed": self.note("listed"),
            "verified": self.note("verified"),
            "how_to_get_access": self.note("access"),
            "fill_in": self.to_fill_in,
            "contact": self.note("contact"),
        }

    @property
    def to_fill_in(self) -> list[str]:
        """The values that a steward must fill in."""
        return [line for line in self.notes["fill in"] if not line.startswith(NOTHING)]

    @property
    def copied(self) -> str:
        """Return the text of a copy: disabled, and with a mark for each value that a steward must fill in."""
        if not self.to_fill_in:
            return self.text
        lines: list[str] = []
        for line in self.text.splitlines():
            note = _NOTE.fullmatch(line)
            if note is not None and note[1] == "fill in" and not note[2].startswith(NOTHING):
                lines.append(f"{MARK} {note[2]}")
                continue
            if line.startswith("mirror:"):
                lines.append(
                    "enabled: false  # delete this line once all is filled in, and the lines above that say so"
                )
            lines.append(line)
        return "\n".join(lines) + "\n"

    def note(self, name: str) -> str:
        """Return one note, or ""."""
        return "; ".join(self.notes[name])


def library() -> list[LibraryManifest]:
    """Return all manifests of the library, by field and name."""
    return list(_read(files("manifests").joinpath("library")))


def find(name: str) -> LibraryManifest:
    """Return a manifest by its name; raises ConfigError."""
    known = {ready.name: ready for ready in library()}
    if name not in known:
        if like := [one for one in known if name and name.casefold() in one]:
            raise ConfigError(
                message("{name}: is not in the library: did you mean {meant}?", name=name[:64], meant=sorted(like)[:8])
            )
        meant = nearest(name, known)
        if meant:
            raise ConfigError(
                message("{name}: is not in the library: did you mean {meant}?", name=name[:64], meant=meant)
            )
        raise ConfigError(message("{name}: is not in the library: see syncd library list", name=name[:64]))
    return known[name]


def index_text() -> str:
    """Return manifests/library/index.json."""
    return json.dumps([ready.summary for ready in library()], ensure_ascii=False, indent=1, default=plain) + "\n"


def sources_page() -> str:
    """Return docs/sources.md."""
    found = library()
    parts = [_PAGE]
    for name in dict.fromkeys(ready.field for ready in found):
        parts.append(f"\n## {name}\n")
        parts += [_chapter(ready) for ready in found if ready.field == name]
    return "".join(parts)


def _chapter(ready: LibraryManifest) -> str:
    about, source = ready.mirror.about, ready.mirror.source
    rows = (
        ("owner", ready.note("whose")),
        ("size", ready.note("size")),
        ("listing", f"{ready.note('listed')} (`reader: {source.reader}`)"),
        ("verification", ready.note("verified")),
        ("access", f"{ready.note('access')} (`access: {about.access}`)"),
        ("passing on", _PASSING_ON[about.redistribution]),
        ("to fill in", ready.note("fill in")),
        ("licence", about.licence),
        ("citation", about.citation),
        ("contact", ready.note("contact")),
    )
    table = "".join(f"| {key} | {value.replace('|', '&#124;')} |\n" for key, value in rows)
    return f"\n### {ready.name}\n\n{ready.mirror.title}: `{source.url}`\n\n| | |\n|---|---|\n{table}"


def _read(folder: Traversable) -> Iterator[LibraryManifest]:
    for field in sorted((one for one in folder.iterdir() if one.is_dir()), key=lambda one: one.name):
        for file in sorted(field.iterdir(), key=lambda one: one.name):
            if file.name.endswith(".yaml"):
                yield LibraryManifest(file.name.removesuffix(".yaml"), field.name, file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    INDEX.write_text(index_text(), encoding="utf-8")
    sys.stdout.write(sources_page())
