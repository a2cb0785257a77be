"""Writes the schema.org Dataset of a mirror as JSON-LD: what search engines for datasets read on its landing page."""

from typing import Any

from syncd.exchange.licences import licence_of
from syncd.exchange.markup import instant, iri, language
from syncd.exchange.publication import Agent, Publication, PublishedFile, Texts, preferred

_LEAST, _MOST = 50, 5_000  # characters of a description that search engines take


def dataset(held: Publication) -> dict[str, Any]:
    """Return the Dataset as a JSON-LD tree; `json_document` and `json_in_html` write it."""
    licence = licence_of(held.licence)
    return {
        "@context": "https://schema.org/",
        "@type": "Dataset",
        "@id": held.url,
        "url": held.url,
        "name": _texts(held.titles) or held.name,
        "description": _description(held),
        "identifier": [held.version.id, *(one.url for one in held.identifiers)],
        "version": held.version.short,
        "sameAs": iri(held.same_as) or None,
        "isBasedOn": iri(held.original) or None,
        "license": None if licence is None else licence.url or licence.text,
        "creditText": held.citation,
        "creator": [organisation(one) for one in held.creators],
        "publisher": organisation(held.node.publisher),
        "isAccessibleForFree": True if held.access == "open" else None,
        "conditionsOfAccess": None if held.access == "open" else held.access,
        "datePublished": instant(held.published),
        "dateModified": instant(held.version.created),
        "keywords": list(dict.fromkeys((*held.themes, *held.keywords))),
        "temporalCoverage": None if held.temporal is None else "/".join(held.temporal),
        "spatialCoverage": _place(held),
        "size": f"{held.version.bytes} B",
        "includedInDataCatalog": {"@type": "DataCatalog", "@id": held.node.address(), "url": held.node.address()},
        "distribution": _downloads(held),
    }


def organisation(agent: Agent) -> dict[str, Any]:
    """Return an Agent as a person (one with an ORCID) or an organisation."""
    return {
        "@type": "Person" if agent.orcid else "Organization",
        "@id": iri(agent.identifier) or None,
        "name": agent.name,
        "alternateName": [text for text in agent.names.values() if text != agent.name],
        "url": iri(agent.url) or None,
        "email": agent.email,
        "affiliation": {"@type": "Organization", "name": agent.affiliation} if agent.affiliation else None,
    }


def _texts(texts: Texts) -> list[Any] | str:
    if len(texts) == 1:
        return preferred(texts)
    return [
        {"@value": text, "@language": tag} if (tag := language(key)) else text for key, text in texts.items() if text
    ]


def _description(held: Publication) -> list[Any] | str:
    """Return the descriptions; a single short one is completed by the facts of the copy."""
    texts = {key: text[:_MOST] for key, text in held.texts.items()}
    if all(len(text) < _LEAST for text in texts.values()):
        key = "en" if "en" in texts else next(iter(texts))
        texts[key] = f"{texts[key]} {held.summary}".strip()
    return _texts(texts)


def _place(held: Publication) -> dict[str, Any] | None:
    if held.spatial is None:
        return None
    west, south, east, north = held.spatial
    return {"@type": "Place", "geo": {"@type": "GeoShape", "box": f"{south} {west} {north} {east}"}}


def _downloads(held: Publication) -> list[dict[str, Any]]:
    """Return the views of the version, and each file where there are few; metadata only where access is restricted."""
    sums = {
        "@type": "DataDownload",
        "name": "SHA256SUMS",
        "contentUrl": held.snapshot_url("SHA256SUMS"),
        "encodingFormat": "text/plain",
    }
    if held.access != "open":
        return [sums] if held.lists_files else []
    tree = {
        "@type": "DataDownload",
        "name": "files",
        "contentUrl": held.snapshot_url("files/"),
        "encodingFormat": "text/html",
    }
    return [tree, sums, *(_download(held, file) for file in held.files)]


def _download(held: Publication, file: PublishedFile) -> dict[str, Any]:
    return {
        "@type": "DataDownload",
        "name": file.path,
        "contentUrl": held.file_url(file.path),
        "encodingFormat": file.media_type or media_type(file.path),
        "contentSize": f"{file.size} B",
        "sha256": file.sha256,
    }


_TYPES = {
    "csv": "text/csv", "gz": "application/gzip", "html": "text/html", "jp2": "image/jp2", "jpeg": "image/jpeg",
    "jpg": "image/jpeg", "json": "application/json", "nc": "application/x-netcdf", "h5": "application/x-hdf5",
    "hdf": "application/x-hdf", "parquet": "application/vnd.apache.parquet", "pdf": "application/pdf",
    "png": "image/png", "tar": "application/x-tar", "tif": "image/tiff", "tiff": "image/tiff",
    "tsv": "text/tab-separated-values", "txt": "text/plain", "xml": "application/xml", "zip": "application/zip",
    "zst": "application/zstd",
}  # fmt: skip


def media_type(path: str) -> str:
    """Return the media type by the last extension of a name; a compressed file is what compresses it."""
    return _TYPES.get(path.rpartition(".")[2].lower() if "." in path else "", "application/octet-stream")
