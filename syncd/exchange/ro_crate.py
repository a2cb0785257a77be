"""Writes an RO-Crate 1.2: the research object of a version, with its files on the web.

Up to FEW_FILES each file is an entity; above, the list of checksums and the folder stand for all of them.
"""

from typing import Any

from syncd.exchange.licences import licence_of
from syncd.exchange.markup import instant, iri, json_document
from syncd.exchange.publication import Agent, Publication
from syncd.exchange.schema_org import media_type

_CONTEXT = "https://w3id.org/ro/crate/1.2/context"
_PROFILE = {"@id": "https://w3id.org/ro/crate/1.2"}
_NAME = "ro-crate-metadata.json"

Entity = dict[str, Any]


def ro_crate(held: Publication) -> bytes:
    """Return the metadata of the crate of the current version."""
    licence = licence_of(held.licence)
    licensed = None if licence is None else {"@id": licence.url or "#licence"}
    files = _files(held)
    people = [_agent(one, f"#creator-{number}") for number, one in enumerate(held.creators, 1)]
    host = _agent(held.node.publisher, "#publisher")
    root: Entity = {
        "@id": held.snapshot_url(),
        "@type": "Dataset",
        "name": held.title,
        "alternateName": [text for text in held.titles.values() if text != held.title],
        "description": " ".join(held.texts.values()),
        "datePublished": instant(held.version.created),
        "version": held.version.short,
        "identifier": [held.version.id, *(one.url for one in held.identifiers)],
        "url": held.url,
        "isBasedOn": {"@id": iri(held.original)} if iri(held.original) else None,
        "license": licensed or "not stated",
        "creditText": held.citation,
        "creator": [{"@id": one["@id"]} for one in people],
        "publisher": {"@id": host["@id"]},
        "keywords": list(dict.fromkeys((*held.themes, *held.keywords))),
        "hasPart": [{"@id": one["@id"]} for one in files],
    }
    descriptor = {"@id": _NAME, "@type": "CreativeWork", "conformsTo": _PROFILE, "about": {"@id": root["@id"]}}
    terms = [] if licence is None else [{**(licensed or {}), "@type": "CreativeWork", "name": licence.text}]
    original = iri(held.original)
    source = [{"@id": original, "@type": "Dataset", "name": held.title, "url": original}] if original else []
    entities = {one["@id"]: one for one in (*source, *terms, *people, host, *files, root, descriptor)}
    return json_document({"@context": _CONTEXT, "@graph": list(reversed(entities.values()))})


def _files(held: Publication) -> list[Entity]:
    """Return the data entities: each file of few, else the list of checksums; none where they are not public."""
    if not held.lists_files:
        return []
    if held.access == "open" and held.files:
        return [
            {
                "@id": held.file_url(file.path),
                "@type": "File",
                "name": file.path,
                "localPath": file.path,
                "contentSize": str(file.size),
                "encodingFormat": file.media_type or media_type(file.path),
                "sha256": file.sha256,
                "dateModified": None if file.modified is None else instant(file.modified),
            }
            for file in held.files
        ]
    sums = {"@type": "File", "name": "SHA256SUMS", "localPath": "SHA256SUMS", "encodingFormat": "text/plain"}
    return [{"@id": held.snapshot_url("SHA256SUMS"), **sums}]


def _agent(one: Agent, instead: str) -> Entity:
    return {
        "@id": iri(one.identifier) or instead,
        "@type": "Person" if one.orcid else "Organization",
        "name": one.name or instead,
        "affiliation": one.affiliation,
        "url": iri(one.url) or None,
        "email": one.email,
    }
