"""Writes texts of any origin so that a document stays well-formed: XML elements, JSON, addresses, languages, times.

Titles and names come from people and from upstream; they may hold control characters, halves of surrogate pairs, quotes
and tags. A character that XML 1.0 does not allow is left out, in every format alike.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from manifests.messages import plain
from manifests.timestamps import rfc3339

XML = '<?xml version="1.0" encoding="UTF-8"?>\n'

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_NOT_IN_IRI = re.compile(
    r"[\x00-\x20<>\"{}|\\^`\x7f-\x9f\ufff0-\uffff\ue000-\uf8ff\u200e\u200f\u202a-\u202e]|%(?![0-9A-Fa-f]{2})"
)
_IN_SCRIPT = re.compile("[<>&\u2028\u2029]")
_encode = msgspec.json.Encoder(enc_hook=plain).encode


class Markup(str):
    """XML that is already written; any other text is escaped."""

    __slots__ = ()


def clean(text: str) -> str:
    """Return a text without the characters that XML 1.0 does not allow."""
    return _FORBIDDEN.sub("", text)


def escape(text: str) -> str:
    """Return a text as it stands in an XML element or attribute."""
    if isinstance(text, Markup):
        return text
    text = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("\r", "&#13;").replace("\t", "&#9;")


def tag(name: str, *children: str | None, **attributes: str | None) -> Markup:
    """Return an element; texts are escaped, None is left out. `xml_lang` is written `xml:lang`."""
    return element(name, {key.rstrip("_").replace("_", ":", 1): value for key, value in attributes.items()}, *children)


def element(name: str, attributes: Mapping[str, str | None], *children: str | None) -> Markup:
    """Return an element whose attributes have names that are no identifiers of Python."""
    written = "".join(
        f' {key}="{escape(value).replace(chr(10), "&#10;")}"' for key, value in attributes.items() if value is not None
    )
    inner = "".join(escape(child) for child in children if child is not None)
    return Markup(f"<{name}{written}>{inner}</{name}>" if inner else f"<{name}{written}/>")


def joined(*parts: str | None) -> Markup:
    """Return several elements, one after the other."""
    return Markup("".join(escape(part) for part in parts if part is not None))


def document(root: Markup) -> bytes:
    """Return an XML document."""
    return f"{XML}{root}\n".encode()


def json_document(value: Any, *, is_complete: bool = False) -> bytes:
    """Return a JSON document, indented for people; with `is_complete`, keys without a value stay, too."""
    tree = clean_texts(value) if is_complete else cleaned(value)
    return msgspec.json.format(_encode(tree), indent=2) + b"\n"


def json_in_html(value: Any) -> str:
    r"""Return JSON for a `<script>` of a page: `<`, `>` and `&` are escaped, so no text ends the element."""
    return _IN_SCRIPT.sub(lambda found: f"\\u{ord(found[0]):04x}", _encode(cleaned(value)).decode())


def cleaned(value: Any) -> Any:
    """Return a tree with clean texts, without keys that have no value (None, empty); None in a list stays."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        parts = ((clean(key), cleaned(one)) for key, one in value.items())
        return {key: one for key, one in parts if one is not None and one not in ("", [], {})}
    if isinstance(value, list | tuple):
        return [one for one in map(cleaned, value) if one not in ("", [], {})]
    return value


def clean_texts(value: Any) -> Any:
    """Return a tree of others with clean texts, and with all its keys."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(key): clean_texts(one) for key, one in value.items()}
    return [*map(clean_texts, value)] if isinstance(value, list | tuple) else value


def iri(text: str) -> str:
    """Return an address without the characters that an IRI may not have, escaped; "" if it is no absolute address."""
    text = clean(text).strip()
    if _IRI.fullmatch(text.replace(" ", "")) is None:
        return ""
    return _NOT_IN_IRI.sub(lambda found: quote(found[0], safe=""), text)


def language(given: str) -> str | None:
    """Return a language tag, or None where the language is unknown."""
    return given if _LANGUAGE.fullmatch(given) is not None else None


def instant(seconds: float) -> str:
    """Return a time in UTC, to the second."""
    return rfc3339(seconds)
