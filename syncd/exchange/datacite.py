"""Writes DataCite metadata (kernel 4.6) as XML: how a version of a mirror is cited, and what it is a copy of.

The kernel needs a DOI. It is the one that a registrar gave to the dataset, or there is no such document: none is made
up. `:unav` is the kernel's own word for a value that is not available.
"""

from datetime import UTC, datetime

from syncd.exchange.licences import licence_of
from syncd.exchange.markup import Markup, clean, document, element, instant, iri, joined, language, tag
from syncd.exchange.publication import Agent, Publication
from syncd.exchange.schema_org import media_type

NAMESPACE = "http://datacite.org/schema/kernel-4"
SCHEMA = "http://schema.datacite.org/meta/kernel-4.6/metadata.xsd"
VERSION = "4.6"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_ACCESS = {"open": "openAccess", "registered": "restrictedAccess", "restricted": "restrictedAccess"}
_AGENTS = {"ror.org": ("ROR", "https://ror.org/"), "orcid.org": ("ORCID", "https://orcid.org/")}


def datacite(held: Publication) -> bytes | None:
    """Return the document, or None for a mirror without a DOI."""
    root = kernel(held)
    return None if root is None else document(root)


def kernel(held: Publication) -> Markup | None:
    """Return the `resource` element, or None for a mirror without a DOI."""
    doi = held.identifier("doi")
    if doi is None:
        return None
    spaces = {"xmlns": NAMESPACE, "xmlns:xsi": _XSI, "xsi:schemaLocation": f"{NAMESPACE} {SCHEMA}"}
    host = held.node.publisher
    creators = held.creators or (Agent({"": ":unav"}),)
    return element(
        "resource",
        spaces,
        tag("identifier", doi.value, identifierType="DOI"),
        tag("creators", *(_agent("creator", one) for one in creators)),
        tag("titles", *_titles(held)),
        tag("publisher", host.name or held.node.name, **_identified(host)),
        tag("publicationYear", str(datetime.fromtimestamp(held.published, UTC).year)),
        tag("resourceType", "Mirror", resourceTypeGeneral="Dataset"),
        tag("subjects", *(tag("subject", one) for one in dict.fromkeys((*held.themes, *held.keywords)) if _has(one))),
        tag("contributors", _agent("contributor", host, held.node.name)),
        tag("dates", *_dates(held)),
        tag("alternateIdentifiers", *_alternates(held)),
        tag("relatedIdentifiers", *_related(held)),
        tag("sizes", tag("size", f"{held.version.bytes} bytes"), tag("size", f"{held.version.files} files")),
        _formats(held),
        tag("version", held.version.short),
        tag("rightsList", *_rights(held)),
        tag("descriptions", *_descriptions(held)),
        _place(held),
    )


def _has(text: str) -> bool:
    return bool(clean(text).strip())


def _agent(role: str, one: Agent, instead: str = ":unav") -> Markup:
    """Return a creator, or the contributor that hosts the copy."""
    kind = "Personal" if one.orcid else "Organizational"
    identifier = one.orcid or one.ror
    scheme, home = _AGENTS.get(identifier.partition("://")[2].partition("/")[0], ("", ""))
    return tag(
        role,
        tag(f"{role}Name", one.name if _has(one.name) else instead, nameType=kind),
        tag("nameIdentifier", identifier, nameIdentifierScheme=scheme, schemeURI=home) if scheme else None,
        tag("affiliation", one.affiliation) if _has(one.affiliation) else None,
        contributorType="HostingInstitution" if role == "contributor" else None,
    )


def _identified(one: Agent) -> dict[str, str]:
    if not one.ror:
        return {}
    return {"publisherIdentifier": one.ror, "publisherIdentifierScheme": "ROR", "schemeURI": "https://ror.org/"}


def _titles(held: Publication) -> list[Markup]:
    texts = [(key, text) for key, text in held.titles.items() if _has(text)] or [("", held.name)]
    return [
        tag("title", text, xml_lang=language(key), titleType="TranslatedTitle" if number else None)
        for number, (key, text) in enumerate(texts)
    ]


def _descriptions(held: Publication) -> list[Markup]:
    texts = [
        tag("description", text, xml_lang=language(key), descriptionType="Abstract")
        for key, text in held.texts.items()
        if _has(text)
    ]
    return [*texts, tag("description", held.summary, xml_lang="en", descriptionType="TechnicalInfo")]


def _dates(held: Publication) -> list[Markup]:
    covered = None if held.temporal is None else "/".join(held.temporal).replace("..", "")
    return [
        tag("date", instant(held.published), dateType="Available"),
        tag("date", instant(held.version.created), dateType="Updated"),
        *([] if covered is None else [tag("date", covered, dateType="Coverage")]),
    ]


def _alternates(held: Publication) -> list[Markup]:
    return [
        tag("alternateIdentifier", held.url, alternateIdentifierType="URL"),
        tag("alternateIdentifier", f"sha256:{held.version.id}", alternateIdentifierType="syncd snapshot"),
    ]


def _related(held: Publication) -> list[Markup]:
    """Return the original, the CSTR, the checksums and the version before."""
    found = [("IsIdenticalTo", "URL", iri(held.original))]
    cstr = held.identifier("cstr")
    if cstr is not None:
        found.append(("IsIdenticalTo", "CSTR", cstr.value))
    if held.lists_files:
        found.append(("HasMetadata", "URL", held.snapshot_url("SHA256SUMS")))
    if held.version.previous:
        found.append(("IsNewVersionOf", "URL", held.snapshot_url(version=held.version.previous)))
    return [
        tag("relatedIdentifier", value, relatedIdentifierType=kind, relationType=relation)
        for relation, kind, value in found
        if value
    ]


def _formats(held: Publication) -> Markup | None:
    kinds = dict.fromkeys(one.media_type or media_type(one.path) for one in held.files)
    return tag("formats", *(tag("format", kind) for kind in kinds)) if kinds else None


def _rights(held: Publication) -> list[Markup]:
    access = f"info:eu-repo/semantics/{_ACCESS[held.access]}"
    found = [tag("rights", held.access, rightsURI=access)]
    if (licence := licence_of(held.licence)) is not None:
        spdx = {"rightsIdentifierScheme": "SPDX", "rightsIdentifier": licence.spdx} if licence.spdx else {}
        found.append(tag("rights", licence.text, rightsURI=licence.url or None, **spdx))
    return found


def _place(held: Publication) -> Markup | None:
    if held.spatial is None:
        return None
    names = ("westBoundLongitude", "southBoundLatitude", "eastBoundLongitude", "northBoundLatitude")
    sides = dict(zip(names, held.spatial, strict=True))
    order = ("westBoundLongitude", "eastBoundLongitude", "southBoundLatitude", "northBoundLatitude")
    box = joined(*(tag(name, str(sides[name])) for name in order))
    return tag("geoLocations", tag("geoLocation", tag("geoLocationBox", box)))
