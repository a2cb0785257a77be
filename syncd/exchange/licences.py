"""A manifest's licence as formats need it: an address where one is certain, the steward's words, or nothing.

A licence is never guessed: only identifiers that stand in the table get an address, and words such as "not stated" give
none.
"""

import re
from dataclasses import dataclass

from syncd.exchange.markup import iri

_CC = "https://creativecommons.org/"
_SPDX = {
    "CC0-1.0": f"{_CC}publicdomain/zero/1.0/",
    "PDDL-1.0": "https://opendatacommons.org/licenses/pddl/1-0/",
    "ODbL-1.0": "https://opendatacommons.org/licenses/odbl/1-0/",
    "ODC-By-1.0": "https://opendatacommons.org/licenses/by/1-0/",
    "OGL-UK-3.0": "https://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/",
    "etalab-2.0": "https://spdx.org/licenses/etalab-2.0.html",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "MIT": "https://spdx.org/licenses/MIT.html",
    "BSD-3-Clause": "https://spdx.org/licenses/BSD-3-Clause.html",
    "GPL-3.0-or-later": "https://spdx.org/licenses/GPL-3.0-or-later.html",
}
_CREATIVE = re.compile(r"CC-(BY(?:-NC)?(?:-ND|-SA)?)-(1\.0|2\.0|2\.5|3\.0|4\.0)")
_UNKNOWN = {"", "not stated", "unknown", "none", "n/a", "tbd", "未声明", "未说明"}


@dataclass(frozen=True, slots=True)
class Licence:
    """The terms of use: `url` and `spdx` are "" where they are not certain."""

    text: str
    url: str = ""
    spdx: str = ""


def licence_of(stated: str) -> Licence | None:
    """Return the licence that a manifest states, or None if it states none."""
    text = stated.strip()
    if text.lower() in _UNKNOWN:
        return None
    if (creative := _CREATIVE.fullmatch(text)) is not None:
        return Licence(text, f"{_CC}licenses/{creative[1].lower()}/{creative[2]}/", text)
    if text in _SPDX:
        return Licence(text, _SPDX[text], text)
    if text.startswith(("https://", "http://")) and not re.search(r"\s", text):
        return Licence(text, iri(text))
    return Licence(text)
