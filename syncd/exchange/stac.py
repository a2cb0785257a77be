"""Writes a static STAC 1.1.0 catalogue: the node, a collection for each mirror, and items where upstream gave them.

Rules:
1. A collection needs a place and a time. A mirror without them has none: they are never made up.
2. An item is upstream's own, with our addresses: every other key stays, what the asset was before stays as `alternate`,
   `file:checksum` is our sha256 as a multihash, and `derived_from` leads to the original. No item is made of a file.
"""

from calendar import monthrange
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from syncd.exchange.licences import licence_of
from syncd.exchange.markup import instant, iri
from syncd.exchange.publication import Node, Publication, PublishedFile, preferred

VERSION = "1.1.0"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
ALTERNATE = "https://stac-extensions.github.io/alternate-assets/v1.2.0/schema.json"
_JSON = "application/json"
GEO_JSON = "application/geo+json"
A_PART = 1_000  # items of a part of the catalogue


def has_collection(held: Publication) -> bool:
    """Return True if a mirror states its place and its time."""
    return held.spatial is not None and held.temporal is not None


def catalog(node: Node, publications: Sequence[Publication]) -> dict[str, Any]:
    """Return the root, with a link to each collection."""
    here = node.address("stac/catalog.json")
    name = node.publisher.name or node.name
    return {
        "type": "Catalog",
        "stac_version": VERSION,
        "id": node.name,
        "title": name,
        "description": f"Verified copies of datasets of others, kept by {name}.",
        "links": [
            _link("root", here),
            _link("self", here),
            *(_link("child", _address(one), one.title) for one in publications if has_collection(one)),
        ],
    }


def collection(held: Publication, items: int = 0) -> dict[str, Any]:
    """Return the collection of a mirror that states its place and its time; its items are listed in parts."""
    if held.spatial is None or held.temporal is None:
        raise ValueError(held.name)
    licence = licence_of(held.licence)
    root = held.node.address("stac/catalog.json")
    links = [_link("root", root), _link("parent", root), _link("self", _address(held))]
    if iri(held.original):
        links.append({"rel": "via", "href": iri(held.original)})
    if licence is not None and licence.url:
        links.append({"rel": "license", "href": licence.url, "title": licence.text})
    links += [{"rel": "cite-as", "href": one.url} for one in held.identifiers]
    links += [_link("child", part_address(held, part)) for part in range(1, parts(items) + 1)]
    host = {"name": held.node.publisher.name or held.node.name, "roles": ["host"], "url": held.node.address()}
    return {
        "type": "Collection",
        "stac_version": VERSION,
        "id": held.name,
        "title": held.title,
        "description": preferred(held.texts),
        "keywords": list(dict.fromkeys((*held.themes, *held.keywords))),
        "license": licence.spdx if licence is not None and licence.spdx else "other",
        "providers": [*({"name": one.name, "roles": ["producer"]} for one in held.creators if one.name), host],
        "extent": {
            "spatial": {"bbox": [list(held.spatial)]},
            "temporal": {"interval": [[_start(held.temporal[0]), _end(held.temporal[1])]]},
        },
        "links": links,
        "assets": _assets(held),
    }


def parts(items: int) -> int:
    """Return how many parts of a catalogue a number of items makes."""
    return -(-items // A_PART)


def features_catalog(held: Publication, part: int, paths: Sequence[str]) -> dict[str, Any]:
    """Return a part of the catalogue, counted from 1: a link to each item, by the paths of all of them."""
    parent = _address(held)
    listed = paths[(part - 1) * A_PART : part * A_PART]
    return {
        "type": "Catalog",
        "stac_version": VERSION,
        "id": f"{held.name}-{part}",
        "title": f"{held.title} {part}/{parts(len(paths))}",
        "description": f"Items of {held.title}.",
        "links": [
            _link("root", held.node.address("stac/catalog.json")),
            _link("parent", parent),
            _link("self", part_address(held, part)),
            *({"rel": "item", "href": feature_address(held, one), "type": GEO_JSON} for one in listed),
        ],
    }


def part_address(held: Publication, part: int) -> str:
    """Return the address of a part of the catalogue."""
    return held.node.address(f"stac/{held.name}/items/{part}.json")


def feature_address(held: Publication, path: str) -> str:
    """Return the address of an item, whose document has a path in the mirror."""
    return held.node.address(f"stac/{held.name}/item/{quote(path)}")


def feature(
    held: Publication, original: Mapping[str, Any], address: str, files: Mapping[str, PublishedFile]
) -> dict[str, Any]:
    """Return upstream's item with our addresses, for `json_document(…, is_complete=True)`.

    `address` is that of the original, `files` has the copy of each asset, by the asset's name.
    """
    own = held.node.address(f"stac/{held.name}/")
    kept = [
        one
        for one in original.get("links", ())
        if one.get("rel") not in {"self", "root", "parent", "collection", "items"}
    ]
    links = [
        _link("root", held.node.address("stac/catalog.json")),
        _link("parent", f"{own}collection.json"),
        _link("collection", f"{own}collection.json"),
        *([{"rel": "derived_from", "href": iri(address)}] if iri(address) else []),
    ]
    assets = {
        name: _asset(held, given, files[name]) if name in files else given
        for name, given in original.get("assets", {}).items()
    }
    extensions = dict.fromkeys((*original.get("stac_extensions", ()), FILE, ALTERNATE))
    return {
        **original,
        "stac_version": VERSION,
        "stac_extensions": list(extensions),
        "collection": held.name,
        "properties": {**original["properties"], "updated": instant(held.version.created)},
        "links": [*links, *kept],
        "assets": assets,
    }


def _asset(held: Publication, given: Mapping[str, Any], file: PublishedFile) -> dict[str, Any]:
    before = {"href": given["href"], "alternate:name": "original"}
    return {
        **given,
        "href": held.file_url(file.path),
        "file:size": file.size,
        "file:checksum": f"1220{file.sha256}",
        "file:local_path": file.path,
        "alternate": {**given.get("alternate", {}), "original": before},
    }


def _assets(held: Publication) -> dict[str, Any]:
    if not held.lists_files:
        return {}
    sums = {"href": held.snapshot_url("SHA256SUMS"), "type": "text/plain", "roles": ["metadata"], "title": "SHA256SUMS"}
    return {"sha256sums": sums}


def _link(rel: str, address: str, title: str = "") -> dict[str, str]:
    return {"rel": rel, "href": address, "type": _JSON, "title": title}


def _address(held: Publication) -> str:
    return held.node.address(f"stac/{held.name}/collection.json")


def _start(date: str) -> str:
    return f"{date}{'0000-01-01'[len(date) :]}T00:00:00Z"


def _end(date: str) -> str | None:
    """Return the last second of a date, month or year; None for an end that is open."""
    if date == "..":
        return None
    if len(date) == 4:
        return f"{date}-12-31T23:59:59Z"
    if len(date) == 7:
        return f"{date}-{monthrange(int(date[:4]), int(date[5:]))[1]}T23:59:59Z"
    return f"{date}T23:59:59Z"
