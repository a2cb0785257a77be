"""Writes the node's catalogue in DCAT 3 (DCAT-AP 3.0.1): JSON-LD, Turtle and RDF/XML of one graph, page by page.

Rules:
1. The dataset's address is its landing page and never changes with a snapshot: portals key on it.
2. A distribution is a view of the whole (files, SHA256SUMS). Files are listed where there are few.
3. A dataset says that it is a copy: `dct:source` is the original, its creator is the original's, the publisher here is
   the node. Licence, identifiers, places and times are those of the manifest or absent. DCAT-AP wants a source to be a
   Dataset; it is one of a subclass, so that a portal does not list originals as datasets of this node.
4. Pages are linked by hydra. A portal deletes what a harvest lacks: never serve a catalogue that may be short.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from syncd.exchange.dcat_terms import agent, contact, licence, location, period, when
from syncd.exchange.markup import iri
from syncd.exchange.publication import Node, Publication, PublishedFile
from syncd.exchange.rdf import PREFIXES, Described, json_ld, localised, rdf_xml, turtle, typed
from syncd.exchange.schema_org import media_type

PAGE = 100  # datasets on one page
_RIGHTS = "http://publications.europa.eu/resource/authority/access-right/"
_ACCESS = {"open": "PUBLIC", "registered": "RESTRICTED", "restricted": "RESTRICTED"}
_IANA = "https://www.iana.org/assignments/media-types/"

WRITERS: Mapping[str, tuple[str, Callable[[Sequence[Described]], bytes]]] = {
    "jsonld": ("application/ld+json", json_ld),
    "ttl": ("text/turtle", turtle),
    "rdf": ("application/rdf+xml", rdf_xml),
}
"""By the extension of the catalogue's address: the media type, and the function that writes a graph."""


def catalogue(node: Node, publications: Sequence[Publication], *, kind: str = "jsonld", page: int = 1) -> bytes:
    """Return one page of the catalogue; `publications` are all that may be listed, in an order that stays."""
    return WRITERS[kind][1](graph(node, publications, kind=kind, page=page))


def pages(publications: Sequence[Publication]) -> int:
    """Return the number of pages, at least one."""
    return max(1, -(-len(publications) // PAGE))


def graph(node: Node, publications: Sequence[Publication], *, kind: str = "jsonld", page: int = 1) -> list[Described]:
    """Return the graph of one page."""
    shown = publications[(page - 1) * PAGE : page * PAGE]
    name = node.publisher.name or node.name
    root = {
        "@id": node.address("catalogue"),
        "@type": "dcat:Catalog",
        "dct:title": localised({"en": f"Datasets mirrored by {name}"}),
        "dct:description": localised({"en": f"Verified copies of datasets of others, kept by {name}."}),
        "dct:publisher": agent(node.publisher, node.address("#publisher")),
        "foaf:homepage": {"@id": node.address(), "@type": "foaf:Document"},
        "dcat:dataset": [described(one) for one in shown],
    }
    last = pages(publications)
    view = [_view(node, kind, page, last, len(publications))] if last > 1 else []
    return [
        root,
        *view,
        {"@id": f"{PREFIXES['syncd']}Original", "rdfs:subClassOf": {"@id": f"{PREFIXES['dcat']}Dataset"}},
    ]


def _view(node: Node, kind: str, page: int, last: int, total: int) -> Described:
    def at(number: int) -> dict[str, str]:
        return {"@id": node.address(f"catalogue.{kind}?page={number}")}

    return {
        **at(page),
        "@type": "hydra:PartialCollectionView",
        "hydra:first": at(1),
        "hydra:previous": at(page - 1) if page > 1 else None,
        "hydra:next": at(page + 1) if page < last else None,
        "hydra:last": at(last),
        "hydra:totalItems": typed(str(total), "xsd:integer"),
    }


def described(held: Publication) -> dict[str, Any]:
    """Return one dataset."""
    original = iri(held.original)
    return {
        "@id": held.url,
        "@type": "dcat:Dataset",
        "dct:identifier": [{"@value": held.name}, *({"@value": one.url} for one in held.identifiers)],
        "dct:title": localised(held.titles) or [{"@value": held.name}],
        "dct:description": localised(held.texts),
        "dcat:version": {"@value": held.version.short},
        "dct:issued": when(held.published),
        "dct:modified": when(held.version.created),
        "dct:publisher": agent(held.node.publisher, held.node.address("#publisher")),
        "dct:creator": [agent(one) for one in held.creators],
        "dct:source": _original(held, original) if original else None,
        "prov:wasDerivedFrom": {"@id": original} if original else None,
        "dct:provenance": {"@type": "dct:ProvenanceStatement", "rdfs:label": localised({"en": held.summary})},
        "dct:accessRights": {"@id": _RIGHTS + _ACCESS[held.access], "@type": "dct:RightsStatement"},
        "dct:license": licence(held),
        "dcat:landingPage": {"@id": held.url + "#page", "@type": "foaf:Document"},
        "dcat:keyword": [{"@value": one} for one in dict.fromkeys((*held.themes, *held.keywords))],
        "dcat:contactPoint": contact(held),
        "dct:spatial": location(held),
        "dct:temporal": period(held),
        "dcat:distribution": _distributions(held),
    }


def _original(held: Publication, address: str) -> dict[str, Any]:
    return {
        "@id": address,
        "@type": "syncd:Original",
        "dct:title": localised(held.titles) or [{"@value": held.name}],
        "dct:description": localised({"en": f"The original, of which {held.url} is a copy."}),
    }


def _distributions(held: Publication) -> list[dict[str, Any]]:
    """Return the views of the current version; those that name bytes only where everybody may read them."""
    files = _distribution(held, "files/", {"en": "Files", "zh": "文件"}, "text/html")
    if not held.lists_files:
        return [{**files, "dcat:accessURL": {"@id": held.url}}]
    sums = _distribution(held, "SHA256SUMS", {"en": "Checksums", "zh": "校验和"}, "text/plain")
    sums["dcat:downloadURL"] = {"@id": held.snapshot_url("SHA256SUMS")}
    return [files, sums, *(_file(held, one) for one in held.files if held.access == "open")]


def _distribution(held: Publication, name: str, titles: dict[str, str], kind: str) -> dict[str, Any]:
    address = held.snapshot_url(name)
    return {
        "@id": f"{held.url}#{name.rstrip('/')}",
        "@type": "dcat:Distribution",
        "dct:title": localised(titles),
        "dcat:accessURL": {"@id": address},
        "dcat:mediaType": {"@id": _IANA + kind, "@type": "dct:MediaType"},
        "dct:license": licence(held),
    }


def _file(held: Publication, file: PublishedFile) -> dict[str, Any]:
    address = held.file_url(file.path)
    return {
        "@id": address,
        "@type": "dcat:Distribution",
        "dct:title": {"@value": file.path},
        "dcat:accessURL": {"@id": address},
        "dcat:downloadURL": {"@id": address},
        "dcat:byteSize": typed(str(file.size), "xsd:nonNegativeInteger"),
        "dcat:mediaType": {"@id": _IANA + (file.media_type or media_type(file.path)), "@type": "dct:MediaType"},
        "dct:license": licence(held),
        "spdx:checksum": {
            "@type": "spdx:Checksum",
            "spdx:algorithm": {
                "@id": "http://spdx.org/rdf/terms#checksumAlgorithm_sha256",
                "@type": "spdx:ChecksumAlgorithm",
            },
            "spdx:checksumValue": typed(file.sha256, "xsd:hexBinary"),
        },
    }
