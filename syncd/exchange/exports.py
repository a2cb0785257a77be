"""Writes a format of several mirrors as files, under the paths that the node's addresses have: a new one is a line."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from syncd.exchange import dcat, feeds, oai, resourcesync, sitemap, stac
from syncd.exchange.formats import DOCUMENTS
from syncd.exchange.iso19139 import iso19139
from syncd.exchange.markup import json_document
from syncd.exchange.oai_entries import OaiEntry, entry_of
from syncd.exchange.oai_formats import FORMATS
from syncd.exchange.oai_repository import identifier_of
from syncd.exchange.publication import Node, Publication

Files = Iterator[tuple[str, bytes]]


def _dcat(node: Node, publications: Sequence[Publication]) -> Files:
    for kind in dcat.WRITERS:
        for page in range(1, dcat.pages(publications) + 1):
            name = f"catalogue.{kind}" if page == 1 else f"catalogue-{page}.{kind}"
            yield name, dcat.catalogue(node, publications, kind=kind, page=page)


def _document(*names: str) -> Callable[[Node, Sequence[Publication]], Files]:
    def write(_: Node, publications: Sequence[Publication]) -> Files:
        for held in publications:
            for name in names:
                body = DOCUMENTS[name].write(held)
                if body is not None:
                    yield f"mirrors/{held.name}/{name}", body

    return write


def _oai(node: Node, publications: Sequence[Publication]) -> Files:
    """Yield the answer to each verb; the pages of a list continue by number, as the tokens lead to a server."""
    entries = sorted((entry_of(held, int(held.updated)) for held in publications), key=lambda one: one.key)
    now = float(max((one.stamp for one in entries), default=0))
    for verb in ("Identify", "ListMetadataFormats", "ListSets"):
        yield f"oai/{verb}.xml", oai.answer(node, [("verb", verb)], entries, now)
    for prefix in FORMATS:
        for entry in entries:
            yield from _one(node, entry, entries, prefix, now)


def _one(node: Node, entry: OaiEntry, entries: Sequence[OaiEntry], prefix: str, now: float) -> Files:
    held = entry.publication
    if held is not None and FORMATS[prefix].write(held) is not None:
        pairs = [
            ("verb", "GetRecord"),
            ("metadataPrefix", prefix),
            ("identifier", identifier_of(node, entry.name)),
        ]
        yield f"oai/{prefix}/{entry.name}.xml", oai.answer(node, pairs, entries, now)


def _iso(_: Node, publications: Sequence[Publication]) -> Files:
    """Yield a folder that can be served as it is: a listing, and a file for each mirror."""
    files = [(f"{held.name}.xml", iso19139(held), held.updated) for held in publications]
    yield "waf/index.html", sitemap.folder_listing("/waf/", [(name, len(body), when) for name, body, when in files])
    for name, body, _when in files:
        yield f"waf/{name}", body


def _stac(node: Node, publications: Sequence[Publication]) -> Files:
    yield "stac/catalog.json", json_document(stac.catalog(node, publications))
    for held in filter(stac.has_collection, publications):
        yield f"stac/{held.name}/collection.json", json_document(stac.collection(held))


def _feeds(node: Node, publications: Sequence[Publication]) -> Files:
    yield "feed.atom", feeds.node_atom(node, publications)
    yield from _document("feed.atom", "feed.json")(node, publications)


def _sitemap(node: Node, publications: Sequence[Publication]) -> Files:
    yield "sitemap.xml", sitemap.sitemap(node, publications)


def _resourcesync(node: Node, publications: Sequence[Publication]) -> Files:
    """Yield the description and what a mirror has without its list of files: that is the face's."""
    yield ".well-known/resourcesync", resourcesync.source_description(publications)
    for held in publications:
        if held.lists_files and held.files:
            yield f"mirrors/{held.name}/resourcelist.xml", resourcesync.full_list(held, held.files)
    yield from _document("capabilitylist.xml")(node, [held for held in publications if held.lists_files])


EXPORTS: Mapping[str, tuple[str, Callable[[Node, Sequence[Publication]], Files]]] = {
    "bibtex": ("", _document("citation.bib")),
    "croissant": ("croissant", _document("croissant.json")),
    "datacite": ("", _document("datacite.xml")),
    "dcat": ("catalogue", _dcat),
    "feeds": ("events", _feeds),
    "gbt30523": ("catalogue", _document("gbt30523.xml")),
    "iso19139": ("catalogue", _iso),
    "oai": ("oai", _oai),
    "resourcesync": ("events", _resourcesync),
    "ro-crate": ("", _document("ro-crate-metadata.json")),
    "schema-org": ("catalogue", _document("dataset.jsonld")),
    "sitemap": ("", _sitemap),
    "stac": ("stac", _stac),
}
"""By the name of `--format`: the word of `publish.to` that lists a mirror in it, or "", and the function."""
