"""What an OAI-PMH repository says of itself: Identify, its formats, its sets and its identifiers."""

import re
from collections.abc import Sequence

from syncd.exchange.markup import Markup, element, instant, tag
from syncd.exchange.oai_entries import OaiEntry, set_names
from syncd.exchange.oai_formats import FORMATS, OaiFormat
from syncd.exchange.oai_requests import OaiRefusal
from syncd.exchange.publication import Node

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_HOST = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:\.[A-Za-z][A-Za-z0-9-]*)+")
_MAIL = re.compile(r"[^\s@]+@(?:[^\s@.]+\.)+[^\s@.]+")


def repository_identifier(node: Node) -> str:
    """Return the domain that begins each identifier: that of the node, or a reserved one, because it needs a dot."""
    return node.host if _HOST.fullmatch(node.host) else f"{re.sub('[^A-Za-z0-9-]', '-', f'n-{node.name}')}.invalid"


def identifier_of(node: Node, name: str) -> str:
    """Return the identifier of a mirror."""
    return f"oai:{repository_identifier(node)}:{name}"


def identify(node: Node, entries: Sequence[OaiEntry]) -> Markup:
    """Describe the repository."""
    home = repository_identifier(node)
    mail = node.publisher.email if _MAIL.fullmatch(node.publisher.email) else f"postmaster@{home}"
    scheme = "http://www.openarchives.org/OAI/2.0/oai-identifier"
    return tag(
        "Identify",
        tag("repositoryName", node.publisher.name or node.name),
        tag("baseURL", node.address("oai")),
        tag("protocolVersion", "2.0"),
        tag("adminEmail", mail),
        tag("earliestDatestamp", instant(entries[0].stamp if entries else 0)),
        tag("deletedRecord", "persistent"),
        tag("granularity", "YYYY-MM-DDThh:mm:ssZ"),
        tag(
            "description",
            element(
                "oai-identifier",
                {"xmlns": scheme, "xmlns:xsi": _XSI, "xsi:schemaLocation": f"{scheme} {scheme}.xsd"},
                tag("scheme", "oai"),
                tag("repositoryIdentifier", home),
                tag("delimiter", ":"),
                tag("sampleIdentifier", identifier_of(node, "sample")),
            ),
        ),
    )


def find(node: Node, entries: Sequence[OaiEntry], identifier: str) -> OaiEntry:
    """Return the entry of an identifier, or refuse."""
    found = next((one for one in entries if identifier_of(node, one.name) == identifier), None)
    if found is None:
        raise OaiRefusal("idDoesNotExist", "No such identifier")
    return found


def formats(node: Node, entries: Sequence[OaiEntry], identifier: str | None) -> Markup:
    """List the formats: all, or those of one mirror."""
    held = None if identifier is None else find(node, entries, identifier).publication
    offered = [name for name, one in FORMATS.items() if identifier is None or (held is not None and one.write(held))]
    if not offered:
        raise OaiRefusal("noMetadataFormats", "It is deleted")
    return tag(
        "ListMetadataFormats",
        *(
            tag(
                "metadataFormat",
                tag("metadataPrefix", name),
                tag("schema", FORMATS[name].schema),
                tag("metadataNamespace", FORMATS[name].namespace),
            )
            for name in offered
        ),
    )


def sets(entries: Sequence[OaiEntry], token: str | None) -> Markup:
    """List the sets."""
    if token is not None:
        raise OaiRefusal("badResumptionToken", "The list of sets has one page")
    names = set_names(entries)
    return tag("ListSets", *(tag("set", tag("setSpec", spec), tag("setName", names[spec])) for spec in sorted(names)))


def format_of(prefix: str) -> OaiFormat:
    """Return a format, or refuse."""
    if prefix not in FORMATS:
        raise OaiRefusal("cannotDisseminateFormat", "The formats are " + ", ".join(FORMATS))
    return FORMATS[prefix]
