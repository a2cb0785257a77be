"""Decides whether the bytes that arrived are the file that was promised. Pure."""

import re
from collections.abc import Mapping

import msgspec

from manifests.digest import KNOWN, OURS, ZIP_END
from manifests.snapshot import Verdict
from manifests.stat import Stat
from manifests.zip_end import WHOLE
from syncd.core import Mismatch

HEAD = 1024  # bytes of a file that are looked at for a web page

_PAGE = re.compile(rb"^(?:\xef\xbb\xbf)?\s*(?:<!doctype\s+html|<html[\s>]|<head[\s>])", re.IGNORECASE)
_TITLE = re.compile(rb"<title[^>]*>\s*([^<]{1,200})", re.IGNORECASE)
_PAGES = (".html", ".htm", ".xhtml", ".shtml", ".php", "/")


class ReceivedFile(msgspec.Struct, frozen=True):
    """What is known of bytes once they are here.

    `answered` is what the answer itself claimed, `head` their first bytes, `kind` the media type or "".
    """

    answered: Stat
    size: int
    digests: Mapping[str, str]
    head: bytes
    kind: str
    url: str


def hash_algorithms(*promises: Mapping[str, str], path: str = "") -> tuple[str, ...]:
    """Return what to compute: our digests, every promised one that we can, and of a zip without any whether it ends."""
    promised = [name for each in promises if each for name in each if name in KNOWN]
    if promised:
        return tuple(dict.fromkeys((*OURS, *promised)))
    return (*OURS, ZIP_END) if path.lower().endswith(".zip") else OURS


def has_digest(stat: Stat) -> bool:
    """Tell whether upstream promises a digest that we can check."""
    return any(name in KNOWN for name in stat.digests)


def decide_verdict(stat: Stat, arrived: ReceivedFile) -> Verdict:
    """Return the verdict on what arrived for `stat`, or raise Mismatch in a steward's words.

    Both what the inventory promised and what the answer itself did must hold.
    """
    size, digests, answered = arrived.size, arrived.digests, arrived.answered
    page = _web_page(stat.path, arrived.head, arrived.kind)
    for claimed in (stat.size, answered.size):
        if claimed is not None and size != claimed:
            raise Mismatch(f"{stat.path}: {claimed} bytes promised, {size} arrived{page}")
    is_proved = False
    for promised in (stat.digests, answered.digests):
        for algorithm, value in promised.items():
            if algorithm not in KNOWN:
                continue
            if digests[algorithm] != value:
                raise Mismatch(f"{stat.path}: {algorithm} {value} promised, {digests[algorithm]} arrived{page}")
            is_proved = True
    if is_proved:
        return "verified"
    if page:
        raise Mismatch(f"{stat.path}: data expected{page}")
    if (end := digests.get(ZIP_END, WHOLE)) != WHOLE:
        raise Mismatch(f"{stat.path}: no digest is promised, and this is no whole zip: {end}")
    return "attested"


def _web_page(path: str, head: bytes, kind: str) -> str:
    """Say that a web page came where it was not expected, or return ""."""
    if _PAGE.search(head[:HEAD]) is None or path.lower().endswith(_PAGES) or kind not in ("", "text/html"):
        return ""
    title = _TITLE.search(head[:HEAD])
    named = f" titled {title[1].decode(errors='replace').strip()!r}" if title is not None else ""
    return f": upstream answered with a web page{named}: is a login or a licence agreement needed?"
