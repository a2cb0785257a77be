"""Describes the parts of a DCAT dataset: agents, licence, contact, place and time, as nodes of a graph."""

from typing import Any

from syncd.exchange.licences import licence_of
from syncd.exchange.markup import instant, iri
from syncd.exchange.publication import Agent, Publication
from syncd.exchange.rdf import Described, localised, typed

_DATES = {4: "xsd:gYear", 7: "xsd:gYearMonth", 10: "xsd:date"}  # by the length of what the manifest states


def agent(one: Agent, address: str = "") -> dict[str, Any]:
    """Return an Agent; without an identifier of its own or an address, it is a node without an address."""
    return {
        "@id": iri(one.identifier if one.orcid or one.ror else "") or address or None,
        "@type": "foaf:Agent",
        "foaf:name": localised(one.names),
        "foaf:homepage": {"@id": iri(one.url), "@type": "foaf:Document"} if iri(one.url) else None,
    }


def licence(held: Publication) -> dict[str, Any] | None:
    """Return the licence that the manifest states, or None."""
    found = licence_of(held.licence)
    if found is None:
        return None
    return {"@id": found.url or None, "@type": "dct:LicenseDocument", "rdfs:label": {"@value": found.text}}


def contact(held: Publication) -> dict[str, Any] | None:
    """Return whom to ask about the copy, or None."""
    given = held.contact or held.node.publisher.email
    if not given:
        return None
    is_mail = "@" in given and "/" not in given
    address = iri(f"mailto:{given}" if is_mail else given)
    return {
        "@type": "vcard:Kind",
        "vcard:fn": {"@value": held.node.publisher.name or held.node.name},
        "vcard:hasEmail" if is_mail else "vcard:hasURL": {"@id": address} if address else None,
    }


def location(held: Publication) -> dict[str, Any] | None:
    """Return the covered region, in two halves over the antimeridian, or None."""
    if held.spatial is None:
        return None
    west, south, east, north = held.spatial
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    rings = [f"(({a} {south}, {b} {south}, {b} {north}, {a} {north}, {a} {south}))" for a, b in spans]
    shape = f"POLYGON{rings[0]}" if len(rings) == 1 else f"MULTIPOLYGON({', '.join(rings)})"
    return {"@type": "dct:Location", "dcat:bbox": typed(shape, "geo:wktLiteral")}


def period(held: Publication) -> dict[str, Any] | None:
    """Return the covered time, or None."""
    if held.temporal is None:
        return None
    start, end = (None if one == ".." else typed(one, _DATES[len(one)]) for one in held.temporal)
    return {"@type": "dct:PeriodOfTime", "dcat:startDate": start, "dcat:endDate": end}


def when(seconds: float) -> Described:
    """Return a time."""
    return typed(instant(seconds), "xsd:dateTime")
