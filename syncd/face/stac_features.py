"""Serves the STAC items that an open mirror holds, with the addresses of the copies.

Rules:
1. Only a mirror whose reader copies the items (`reader: stac`, `items: true`) has any, and only if it is open: an item
   is one of the files.
2. An item stays upstream's: what it names and we do not hold keeps its address.
"""

from typing import Any
from urllib.parse import urljoin, urlsplit

from manifests.access import access_of
from manifests.snapshot import Snapshot
from syncd.exchange import Publication, PublishedFile, stac
from syncd.face.context import FaceContext
from syncd.face.feature_index import LARGEST, StacFeature, decoded_feature, is_named
from syncd.face.origins import public_origin
from syncd.face.public_mirrors import PublicMirror

SIBLINGS = 2_000  # files of an item's folder
_SCHEMES = {"http", "https", "ftp", "s3"}


def has_features(mirror: PublicMirror, context: FaceContext) -> bool:
    """Return True if a mirror copies its items, and everybody may read them."""
    source = mirror.manifest.source
    is_copied = source.reader == "stac" and bool(getattr(source.options, "items", False))
    return is_copied and access_of(mirror.manifest, context.mirrors.moment()) == "open"


async def find_features(context: FaceContext, mirror: PublicMirror) -> tuple[StacFeature, ...] | None:
    """Return the items of the current snapshot; None while they are being read. Raises Damaged, TransientError."""
    snapshot = context.mirrors.snapshot(mirror, mirror.row.snapshot)
    if snapshot is None or not has_features(mirror, context):
        return ()
    return await context.features.get(context.files, mirror.row, snapshot)


async def feature_document(
    context: FaceContext, mirror: PublicMirror, held: Publication, path: str
) -> dict[str, Any] | None:
    """Return the item whose document has a path, with our addresses; None if that file is no item."""
    snapshot = context.mirrors.snapshot(mirror, mirror.row.snapshot)
    if snapshot is None or not has_features(mirror, context) or not path.endswith(".json"):
        return None
    entry = await context.lists.entry(snapshot, path)
    if entry is None or entry.size > LARGEST:
        return None
    original = decoded_feature(await context.files.read(mirror.row, snapshot, path))
    if original is None or not is_named(path, original["id"]):
        return None
    origin = await context.lists.origin(snapshot, path)
    address = public_origin(origin).url if origin is not None else ""
    if not address:
        address = next((one["href"] for one in original["links"] if one.get("rel") == "self"), "")
    original = _absolute(original, address)
    files = await _copies(context, snapshot, path, original["assets"])
    return stac.feature(held, original, address, files)


async def _copies(
    context: FaceContext, snapshot: Snapshot, path: str, assets: dict[str, dict[str, Any]]
) -> dict[str, PublishedFile]:
    """Return the copies of assets: files beside the item that came from their addresses."""
    folder = path[: path.rfind("/") + 1]
    by_address: dict[str, PublishedFile] = {}
    for child in await context.lists.children(snapshot, folder, "", SIBLINGS):
        if child.entry is not None and child.entry.path != path:
            file = PublishedFile(child.entry.path, child.entry.size, child.entry.sha256, child.modified)
            origin = await context.lists.origin(snapshot, file.path)
            if origin is not None:
                by_address[_plain(origin.url)] = file
    return {key: by_address[_plain(one["href"])] for key, one in assets.items() if _plain(one["href"]) in by_address}


def _plain(address: str) -> str:
    """Return an address without query: a signed one changes with each answer."""
    return address.partition("#")[0].partition("?")[0]


def _absolute(item: dict[str, Any], base: str) -> dict[str, Any]:
    """Return an item whose relative addresses were resolved; links of other kinds than those of data are left out."""
    links = [{**one, "href": _joined(base, one["href"])} for one in item["links"]]
    assets = {key: {**one, "href": _joined(base, one["href"])} for key, one in item["assets"].items()}
    return {
        **item,
        "links": [one for one in links if one["href"]],
        "assets": {key: one for key, one in assets.items() if one["href"]},
    }


def _joined(base: str, address: str) -> str:
    try:
        joined = urljoin(base, address)
        return joined if urlsplit(joined).scheme.lower() in _SCHEMES else ""
    except ValueError:
        return ""
