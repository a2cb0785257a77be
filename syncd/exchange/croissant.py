"""Writes Croissant 1.1, the description of a dataset for machine learning.

Up to FEW_FILES each file is a FileObject with its checksum. Above, the list of checksums is the one FileObject: a
description of 100,000 files would take readers minutes, and the list names them all. An `@id` may have no space, so it
is a number; `name` is the path.
"""

from typing import Any

from syncd.exchange.licences import licence_of
from syncd.exchange.markup import instant, iri, json_document
from syncd.exchange.publication import Publication
from syncd.exchange.schema_org import media_type, organisation

_CONFORMS = "http://mlcommons.org/croissant/1.1"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(held: Publication, *, is_live: bool = True) -> bytes:
    """Return the description of the current version; `is_live` where the address shows the next one, too."""
    licence = licence_of(held.licence)
    return json_document(
        {
            "@context": _CONTEXT,
            "@type": "sc:Dataset",
            "conformsTo": _CONFORMS,
            "name": held.title,
            "alternateName": [text for text in held.titles.values() if text != held.title],
            "description": " ".join(held.texts.values()),
            "url": held.url,
            "sameAs": iri(held.same_as) or None,
            "isBasedOn": iri(held.original) or None,
            "identifier": [one.url for one in held.identifiers],
            "version": f"1.0.0+{held.version.short}",
            "license": "not stated" if licence is None else licence.url or licence.text,
            "citeAs": held.citation,
            "creator": [organisation(one) for one in held.creators],
            "publisher": organisation(held.node.publisher),
            "datePublished": instant(held.published)[:10],
            "dateModified": instant(held.version.created),
            "keywords": list(dict.fromkeys((*held.themes, *held.keywords))),
            "isLiveDataset": is_live,
            "distribution": _distribution(held),
        }
    )


def _distribution(held: Publication) -> list[dict[str, Any]]:
    """Return the files where there are few, else the list of checksums; a restricted mirror has its page only."""
    if held.access == "open" and held.files:
        return [
            {
                "@type": "cr:FileObject",
                "@id": f"file-{number}",
                "name": file.path,
                "contentUrl": held.file_url(file.path),
                "contentSize": f"{file.size} B",
                "encodingFormat": file.media_type or media_type(file.path),
                "sha256": file.sha256,
            }
            for number, file in enumerate(held.files, 1)
        ]
    listed = {"@id": "SHA256SUMS", "name": "SHA256SUMS", "contentUrl": held.snapshot_url("SHA256SUMS")}
    page = {"@id": "page", "name": "page", "contentUrl": held.url}
    kind = "text/plain" if held.lists_files else "text/html"
    return [{"@type": "cr:FileObject", **(listed if held.lists_files else page), "encodingFormat": kind}]
