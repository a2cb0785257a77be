"""Decides whether received bytes are the file that upstream describes. Pure."""

import re
from collections.abc import Mapping

import msgspec

from manifests.digest import KNOWN, OURS, ZIP_END
from manifests.messages import message
from manifests.snapshot import Verdict
from manifests.stat import Stat
from manifests.zip_end import WHOLE
from syncd.core import Mismatch

HEAD = 1024  # bytes of a file that are searched for a web page

_PAGE = re.compile(rb"^(?:\xef\xbb\xbf)?\s*(?:<!doctype\s+html|<html[\s>]|<head[\s>])", re.IGNORECASE)
_TITLE = re.compile(rb"<title[^>]*>\s*([^<]{1,200})", re.IGNORECASE)
_PAGES = (".html", ".htm", ".xhtml", ".shtml", ".php", "/")


class ReceivedFile(msgspec.Struct, frozen=True):
    """The attributes of received bytes.

    `answered` holds the claims of the response, `head` their first bytes, `kind` the media type or "". `coding` is the
    content coding that the response names, "" for none. `date` is its header with upstream's clock, or "". If
    `is_newer`, the listing's size does not count: `newer_answer.overrides`.
    """

    answered: Stat
    size: int
    digests: Mapping[str, str]
    head: bytes
    kind: str
    url: str
    coding: str = ""
    date: str = ""
    is_newer: bool = False


def hash_algorithms(*promises: Mapping[str, str], path: str = "") -> tuple[str, ...]:
    """Return the digests to compute: syncd's own, supported published ones, and the end of zips without any."""
    for each in promises:
        if each and any(name in KNOWN for name in each):
            promised = [name for each in promises for name in each if name in KNOWN]
            return tuple(dict.fromkeys((*OURS, *promised)))
    return (*OURS, ZIP_END) if path.lower().endswith(".zip") else OURS


def has_digest(stat: Stat) -> bool:
    """Return True if upstream publishes a digest that syncd can check."""
    return any(name in KNOWN for name in stat.digests)


def decide_verdict(stat: Stat, arrived: ReceivedFile) -> Verdict:
    """Return the verdict on the bytes received for `stat`. Raises Mismatch, with a text for stewards.

    The bytes must match the claims of both the Inventory and the response.
    """
    size, digests, answered = arrived.size, arrived.digests, arrived.answered
    page = _web_page(stat.path, arrived.head, arrived.kind)
    note = page
    if arrived.coding and not page:
        note = message(": upstream marks it as compressed (Content-Encoding: {coding})", coding=arrived.coding)
    for claimed in (None if arrived.is_newer else stat.size, answered.size):
        if claimed is not None and size != claimed:
            raise Mismatch(
                message(
                    "{path}: {claimed} bytes promised, {size} arrived{page}",
                    path=stat.path,
                    claimed=claimed,
                    size=size,
                    page=note,
                )
            )
    is_proved = False
    for promised in (stat.digests, answered.digests):
        for algorithm, value in promised.items():
            if algorithm not in KNOWN:
                continue
            if digests[algorithm] != value:
                raise Mismatch(
                    message(
                        "{path}: {algorithm} {promised} promised, {arrived} arrived{page}",
                        path=stat.path,
                        algorithm=algorithm,
                        promised=value,
                        arrived=digests[algorithm],
                        page=note,
                    )
                )
            is_proved = True
    if is_proved:
        return "verified"
    if page:
        raise Mismatch(message("{path}: data expected{page}", path=stat.path, page=page))
    if (end := digests.get(ZIP_END, WHOLE)) != WHOLE:
        raise Mismatch(
            message("{path}: no checksum is published, and the zip file is incomplete: {end}", path=stat.path, end=end)
        )
    return "attested"


def _web_page(path: str, head: bytes, kind: str) -> str:
    """Return the text on an unexpected web page, or ""."""
    if _PAGE.search(head[:HEAD]) is None or path.lower().endswith(_PAGES) or kind not in ("", "text/html"):
        return ""
    title = _TITLE.search(head[:HEAD])
    if title is None:
        return message(": upstream answered with a web page: is a login or a licence agreement needed?")
    return message(
        ": upstream answered with a web page titled {title!r}: is a login or a licence agreement needed?",
        title=title[1].decode(errors="replace").strip(),
    )
