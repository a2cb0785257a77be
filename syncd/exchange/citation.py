"""Writes how a version of a mirror is cited, as BibTeX.

The authors are those of the original, the publisher of the copy is the node, the version is the snapshot. Braces around
a value keep capitals; a brace in a text is written by its name, because BibTeX counts it, escaped or not.
"""

import re
from datetime import UTC, datetime

from syncd.exchange.licences import licence_of
from syncd.exchange.markup import clean
from syncd.exchange.publication import Publication

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\textbraceleft{}", "}": r"\textbraceright{}",
    "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def bibtex(held: Publication) -> bytes:
    """Return the entry of the current version."""
    doi = held.identifier("doi")
    when = datetime.fromtimestamp(held.version.created, UTC)
    licence = licence_of(held.licence)
    fields = {
        "author": " and ".join(f"{{{_tex(one.name)}}}" for one in held.creators if _tex(one.name)),
        "title": f"{{{_tex(held.title)}}}",
        "year": str(when.year),
        "month": str(when.month),
        "publisher": _tex(held.node.publisher.name or held.node.name),
        "version": held.version.short,
        "doi": "" if doi is None else doi.value,
        "url": held.snapshot_url(),
        "note": _tex(f"Copy of {held.original}" if held.original else ""),
        "howpublished": _tex(held.citation),
        "copyright": "" if licence is None else _tex(licence.text),
    }
    body = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items() if value)
    return f"@misc{{{held.name}-{held.version.short},\n{body}}}\n".encode()


def _tex(text: str) -> str:
    flat = re.sub(r"\s+", " ", clean(text)).strip()
    return "".join(_SPECIAL.get(letter, letter) for letter in flat)
