"""Writes ISO 19115 metadata as ISO 19139 XML; the order of the elements is the schema's."""

from collections.abc import Sequence

from syncd.exchange.iso_elements import character_string, code, dated, online, party
from syncd.exchange.licences import licence_of
from syncd.exchange.markup import Markup, clean, document, element, instant, iri, tag
from syncd.exchange.publication import Publication, Texts, preferred

_SPACES = {
    "xmlns:gmd": "http://www.isotc211.org/2005/gmd",
    "xmlns:gco": "http://www.isotc211.org/2005/gco",
    "xmlns:gml": "http://www.opengis.net/gml",
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
_LANGUAGES = {"en": "eng", "zh": "zho"}
_ACCESS = {"open": "", "registered": "Registered readers only", "restricted": "Named partners only"}


def iso19139(held: Publication) -> bytes:
    """Return the document."""
    return document(metadata(held))


def metadata(held: Publication) -> Markup:
    """Return the MD_Metadata element, in Chinese if the title is Chinese only."""
    known = "zh" if set(held.titles) == {"zh"} else "en"
    return element(
        "gmd:MD_Metadata",
        _SPACES,
        tag("gmd:fileIdentifier", character_string(f"{held.node.host}:{held.name}")),
        tag("gmd:language", character_string(_LANGUAGES[known])),
        tag("gmd:characterSet", code("MD_CharacterSetCode", "utf8")),
        tag("gmd:hierarchyLevel", code("MD_ScopeCode", "dataset")),
        tag("gmd:contact", party(held.node.publisher, "distributor", known, held.contact)),
        tag("gmd:dateStamp", tag("gco:DateTime", instant(held.updated).removesuffix("Z"))),
        tag("gmd:metadataStandardName", character_string("ISO 19115:2003/19139")),
        tag("gmd:dataSetURI", character_string(held.url)),
        tag("gmd:identificationInfo", _identification(held, known)),
        tag("gmd:distributionInfo", _distribution(held)),
        tag("gmd:dataQualityInfo", _lineage(held)),
    )


def _identification(held: Publication, language: str) -> Markup:
    words = [one for one in dict.fromkeys((*held.themes, *held.keywords)) if clean(one).strip()]
    citation = tag(
        "gmd:CI_Citation",
        tag("gmd:title", character_string(preferred(held.titles, language) or held.name)),
        *(tag("gmd:alternateTitle", character_string(one)) for one in _others(held.titles, language)),
        dated(held.published, "publication"),
        dated(held.version.created, "revision"),
        tag("gmd:edition", character_string(held.version.short)),
        *(
            tag("gmd:identifier", tag("gmd:MD_Identifier", tag("gmd:code", character_string(one.url))))
            for one in held.identifiers
        ),
        *(tag("gmd:citedResponsibleParty", party(one, "originator", language)) for one in held.creators),
    )
    return tag(
        "gmd:MD_DataIdentification",
        tag("gmd:citation", citation),
        tag("gmd:abstract", character_string(preferred(held.texts, language) or held.summary)),
        tag("gmd:pointOfContact", party(held.node.publisher, "publisher", language, held.contact)),
        tag(
            "gmd:descriptiveKeywords",
            tag("gmd:MD_Keywords", *(tag("gmd:keyword", character_string(one)) for one in words)),
        )
        if words
        else None,
        tag("gmd:resourceConstraints", _constraints(held)),
        tag("gmd:language", character_string(_LANGUAGES[language])),
        _extent(held),
    )


def _constraints(held: Publication) -> Markup:
    licence = licence_of(held.licence)
    terms = "not stated" if licence is None else licence.text
    told = [terms, licence.url if licence is not None and licence.url != terms else "", _ACCESS[held.access]]
    return tag(
        "gmd:MD_LegalConstraints",
        tag("gmd:accessConstraints", code("MD_RestrictionCode", "otherRestrictions")),
        tag("gmd:useConstraints", code("MD_RestrictionCode", "otherRestrictions")),
        *(tag("gmd:otherConstraints", character_string(one)) for one in told if one),
    )


def _extent(held: Publication) -> Markup | None:
    if held.spatial is None:
        return None
    west, south, east, north = (str(one) for one in held.spatial)
    sides = (
        ("westBoundLongitude", west),
        ("eastBoundLongitude", east),
        ("southBoundLatitude", south),
        ("northBoundLatitude", north),
    )
    box = tag("gmd:EX_GeographicBoundingBox", *(tag(f"gmd:{name}", tag("gco:Decimal", one)) for name, one in sides))
    return tag("gmd:extent", tag("gmd:EX_Extent", tag("gmd:geographicElement", box)))


def _distribution(held: Publication) -> Markup:
    links = [(held.url, "WWW:LINK-1.0-http--link", "information")]
    if held.lists_files:
        links.append((held.snapshot_url("SHA256SUMS"), "WWW:DOWNLOAD-1.0-http--download", "download"))
    options = tag("gmd:MD_DigitalTransferOptions", *(tag("gmd:onLine", online(*one)) for one in links))
    return tag("gmd:MD_Distribution", tag("gmd:transferOptions", options))


def _lineage(held: Publication) -> Markup:
    source = (
        tag("gmd:LI_Source", tag("gmd:description", character_string(iri(held.original))))
        if iri(held.original)
        else None
    )
    scope = tag("gmd:scope", tag("gmd:DQ_Scope", tag("gmd:level", code("MD_ScopeCode", "dataset"))))
    story = tag(
        "gmd:LI_Lineage",
        tag("gmd:statement", character_string(held.summary)),
        tag("gmd:source", source) if source else None,
    )
    return tag("gmd:DQ_DataQuality", scope, tag("gmd:lineage", story))


def _others(texts: Texts, language: str) -> Sequence[str]:
    first = preferred(texts, language)
    return [text for text in dict.fromkeys(texts.values()) if text != first and clean(text).strip()]
