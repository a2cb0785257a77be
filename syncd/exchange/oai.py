"""Answers OAI-PMH 2.0: every verb as a function of the arguments, of the entries and of the time.

Rules:
1. Entries are all mirrors that are or were listed, in the order of (stamp, name). A mirror that is withdrawn, made
   private or renamed stays as a tombstone for ever: `deletedRecord` is `persistent`.
2. `stamp` is when the description of a mirror changed, in seconds, and later than that of every earlier change. The
   time of the answer is taken before the entries are read.
3. A token has the whole state of a list and does not expire. Pages continue after (stamp, name): an entry that changes
   during a harvest moves to the end and is seen again.
4. A protocol error is an answer with HTTP status 200. `request` has the arguments, but none after badVerb or
   badArgument.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from syncd.exchange.markup import Markup, document, element, instant, joined, tag
from syncd.exchange.oai_entries import OaiEntry
from syncd.exchange.oai_formats import OaiFormat
from syncd.exchange.oai_repository import find, format_of, formats, identifier_of, identify, sets
from syncd.exchange.oai_requests import OaiRefusal, OaiToken, asked_list, checked
from syncd.exchange.publication import Node

PAGE = 100  # entries in one answer
_SPACE = "http://www.openarchives.org/OAI/2.0/"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


def answer(node: Node, arguments: Sequence[tuple[str, str]], entries: Sequence[OaiEntry], now: float) -> bytes:
    """Return the answer to a request; `entries` are in order, `now` was taken before they were read."""
    given = dict(arguments)
    try:
        body = _answer(node, arguments, entries)
    except OaiRefusal as refusal:
        if refusal.code in {"badVerb", "badArgument"}:
            given = {}
        body = tag("error", str(refusal), code=refusal.code)
    root = {"xmlns": _SPACE, "xmlns:xsi": _XSI, "xsi:schemaLocation": f"{_SPACE} {_SPACE}OAI-PMH.xsd"}
    request = element("request", given, node.address("oai"))
    return document(element("OAI-PMH", root, tag("responseDate", instant(now)), request, body))


def _answer(node: Node, arguments: Sequence[tuple[str, str]], entries: Sequence[OaiEntry]) -> Markup:
    given = checked(arguments)
    match given["verb"]:
        case "Identify":
            return identify(node, entries)
        case "ListMetadataFormats":
            return formats(node, entries, given.get("identifier"))
        case "ListSets":
            return sets(entries, given.get("resumptionToken"))
        case "GetRecord":
            return _get(node, entries, given["identifier"], given["metadataPrefix"])
        case verb:
            return _list(node, entries, verb, given)


def _get(node: Node, entries: Sequence[OaiEntry], identifier: str, prefix: str) -> Markup:
    entry = find(node, entries, identifier)
    found = _entry(node, entry, format_of(prefix))
    if found is None:
        raise OaiRefusal("cannotDisseminateFormat", f"It is not available as {prefix}")
    return tag("GetRecord", found)


def _header(node: Node, entry: OaiEntry) -> Markup:
    return tag(
        "header",
        tag("identifier", identifier_of(node, entry.name)),
        tag("datestamp", instant(entry.stamp)),
        *(tag("setSpec", spec) for spec in entry.sets),
        status="deleted" if entry.publication is None else None,
    )


def _entry(node: Node, entry: OaiEntry, kind: OaiFormat) -> Markup | None:
    if entry.publication is None:
        return tag("record", _header(node, entry))
    body = kind.write(entry.publication)
    return None if body is None else tag("record", _header(node, entry), tag("metadata", body))


def _list(node: Node, entries: Sequence[OaiEntry], verb: str, given: Mapping[str, str]) -> Markup:
    token = asked_list(given)
    kind = format_of(token.prefix)
    wanted = [one for one in entries if token.wants(one)]
    total = token.total
    if total < 0:
        total = sum(_entry(node, one, kind) is not None for one in wanted)
    shown: list[tuple[OaiEntry, Markup]] = []
    more = False
    for entry in wanted[bisect_right(wanted, token.after, key=lambda one: one.key) :]:
        found = _entry(node, entry, kind)
        if found is None:
            continue
        if len(shown) == PAGE:
            more = True
            break
        shown.append((entry, found))
    if not shown:
        raise OaiRefusal("noRecordsMatch", "Nothing matches")
    rows = [found if verb == "ListRecords" else _header(node, entry) for entry, found in shown]
    after = msgspec.structs.replace(token, after=shown[-1][0].key, cursor=token.cursor + len(shown), total=total)
    return tag(verb, *rows, joined(*_next(token, after, more=more)))


def _next(token: OaiToken, after: OaiToken, *, more: bool) -> Iterator[Markup]:
    """Yield the token of the next page; the last of several pages has an empty one."""
    if more or token.cursor:
        yield tag(
            "resumptionToken", str(after) if more else None, completeListSize=str(after.total), cursor=str(token.cursor)
        )
