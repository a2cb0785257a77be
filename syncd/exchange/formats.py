"""The table of the outward formats: a new one is a module and a line here.

The model is `Publication`: one published mirror, with its `Node` and its history of `PublishedVersion`;
`publication_of(mirror, node, access, history)` makes it from a manifest, `version_of(snapshot)` a version. A format
takes it and returns bytes or a JSON tree; it reads no file, asks no clock and no request. The caller decides first who
may read it, leaves out what `publish.to` does not name, and answers 503 where a list may be short.

* `DOCUMENTS[name].write(held)`: what stands at `/mirrors/<m>/<name>`; `media_type` is its Content-Type
* `json_in_html(schema_org.dataset(held))`: the JSON-LD for the landing page's script
* `oai.answer(node, arguments, entries, now)`: `/oai`; arguments are the pairs of the query or of the form, in their
  order, entries those of `entry_of(held, stamp)` and tombstones `OaiEntry(name, stamp, sets)`, sorted by `key`;
  `update_listed(before, publications, now)` gives them their stamps, and `entries_of(listed, publications)` the entries
* `json_document(stac.catalog(node, publications))`: `/stac/catalog.json`; `stac.collection(held)` where
  `stac.has_collection(held)`: `/stac/<m>/collection.json`
* `feeds.node_atom(node, publications)`: `/feed.atom`
* `resourcesync.source_description(publications)`: `/.well-known/resourcesync`; for each mirror
  `full_list(held, files, part)` with the files in order, and `change_list(held, changes, since, until)`
* `sitemap.sitemap(node, publications)`; `sitemap.folder_listing(title, files)`: `/waf/`, whose files are
  `iso19139.iso19139(held)`; `metalink.metalink(held, file)`: `/mirrors/<m>/snapshots/<id>/meta4/<path>`
* `dcat.catalogue(node, publications, kind="jsonld"|"ttl"|"rdf", page=1)`: `/catalogue.<kind>?page=`;
  `dcat.pages(publications)`, and the media type in `dcat.WRITERS[kind][0]`

A Publication makes every address: `held.url`, `held.view("feed.atom")`, `held.snapshot_url("SHA256SUMS")`,
`held.file_url(path)`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from syncd.exchange import dcat, schema_org
from syncd.exchange.citation import bibtex
from syncd.exchange.croissant import croissant
from syncd.exchange.datacite import datacite
from syncd.exchange.feeds import atom, json_feed
from syncd.exchange.gbt30523 import gbt30523
from syncd.exchange.iso19139 import iso19139
from syncd.exchange.markup import json_document
from syncd.exchange.publication import Publication
from syncd.exchange.resourcesync import capability_list
from syncd.exchange.ro_crate import ro_crate


@dataclass(frozen=True, slots=True)
class DocumentFormat:
    """One document about one mirror: its media type, its function, and the name by which `publish.to` lists it.

    `write` returns None where a mirror has no such document, as there is no DataCite document without a DOI.
    """

    media_type: str
    write: Callable[[Publication], bytes | None]
    listed_as: str = ""


DOCUMENTS: Mapping[str, DocumentFormat] = {
    "dataset.jsonld": DocumentFormat(
        "application/ld+json", lambda held: json_document(schema_org.dataset(held)), "catalogue"
    ),
    "dcat.jsonld": DocumentFormat(
        "application/ld+json", lambda held: dcat.catalogue(held.node, [held], kind="jsonld"), "catalogue"
    ),
    "feed.atom": DocumentFormat("application/atom+xml", atom, "events"),
    "feed.json": DocumentFormat("application/feed+json", json_feed, "events"),
    "citation.bib": DocumentFormat("application/x-bibtex; charset=utf-8", bibtex),
    "datacite.xml": DocumentFormat("application/vnd.datacite.datacite+xml", datacite),
    "croissant.json": DocumentFormat("application/ld+json", croissant, "croissant"),
    "ro-crate-metadata.json": DocumentFormat("application/ld+json", ro_crate),
    "capabilitylist.xml": DocumentFormat("application/xml", capability_list, "events"),
    "iso19139.xml": DocumentFormat("application/xml", iso19139, "catalogue"),
    "gbt30523.xml": DocumentFormat("application/xml", gbt30523, "catalogue"),
}
"""By the name below the mirror's address."""
