"""Writes what an OAI-PMH answer holds of one mirror: Dublin Core, DataCite with and without its wrapper.

`oai_datacite` names two things in practice: DataCite's own wrapper, and the bare kernel that OpenAIRE and Dataverse
serve. The wrapper has that name here, and `datacite` is the bare one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from syncd.exchange import datacite
from syncd.exchange.licences import licence_of
from syncd.exchange.markup import Markup, clean, element, instant, iri, language, tag
from syncd.exchange.publication import Publication
from syncd.exchange.schema_org import media_type

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_DC = "http://www.openarchives.org/OAI/2.0/oai_dc/"
_WRAPPER = "http://schema.datacite.org/oai/oai-1.1/"
_WRAPPER_SCHEMA = "http://schema.datacite.org/oai/oai-1.1/oai.xsd"


@dataclass(frozen=True, slots=True)
class OaiFormat:
    """One metadata format: where its schema is, its namespace, and the function that writes it, or None."""

    schema: str
    namespace: str
    write: Callable[[Publication], Markup | None]


def dublin_core(held: Publication) -> Markup:
    """Return the fifteen elements; the landing page is the first identifier, the original the source."""
    words: list[tuple[str, str, str]] = [
        *(("title", key, text) for key, text in (held.titles or {"": held.name}).items()),
        *(("creator", "", one.name) for one in held.creators),
        *(("subject", "", one) for one in dict.fromkeys((*held.themes, *held.keywords))),
        *(("description", key, text) for key, text in held.texts.items()),
        ("publisher", "", held.node.publisher.name or held.node.name),
        ("date", "", instant(held.version.created)[:10]),
        ("type", "", "Dataset"),
        *(("format", "", kind) for kind in dict.fromkeys(one.media_type or media_type(one.path) for one in held.files)),
        ("identifier", "", held.url),
        *(("identifier", "", one.url) for one in held.identifiers),
        ("source", "", iri(held.original)),
        ("relation", "", held.snapshot_url("SHA256SUMS") if held.lists_files else ""),
        ("coverage", "", "/".join(held.temporal or ())),
        ("coverage", "", _box(held)),
        ("rights", "", held.access),
    ]
    if (licence := licence_of(held.licence)) is not None:
        words += [("rights", "", one) for one in dict.fromkeys((licence.url, licence.text))]
    spaces = {
        "xmlns:oai_dc": _DC,
        "xmlns:dc": "http://purl.org/dc/elements/1.1/",
        "xmlns:xsi": _XSI,
        "xsi:schemaLocation": f"{_DC} http://www.openarchives.org/OAI/2.0/oai_dc.xsd",
    }
    return element(
        "oai_dc:dc",
        spaces,
        *(tag(f"dc:{name}", text, xml_lang=language(key)) for name, key, text in words if clean(text).strip()),
    )


def _box(held: Publication) -> str:
    if held.spatial is None:
        return ""
    west, south, east, north = held.spatial
    return f"northlimit={north}; southlimit={south}; westlimit={west}; eastlimit={east}"


def _wrapped(held: Publication) -> Markup | None:
    root = datacite.kernel(held)
    if root is None:
        return None
    return element(
        "oai_datacite",
        {"xmlns": _WRAPPER, "xmlns:xsi": _XSI, "xsi:schemaLocation": f"{_WRAPPER} {_WRAPPER_SCHEMA}"},
        tag("schemaVersion", datacite.VERSION),
        tag("datacentreSymbol", held.node.name),
        tag("payload", root),
    )


FORMATS: Mapping[str, OaiFormat] = {
    "oai_dc": OaiFormat("http://www.openarchives.org/OAI/2.0/oai_dc.xsd", _DC, dublin_core),
    "oai_datacite": OaiFormat(_WRAPPER_SCHEMA, _WRAPPER, _wrapped),
    "datacite": OaiFormat(datacite.SCHEMA, datacite.NAMESPACE, datacite.kernel),
}
"""By metadataPrefix."""
