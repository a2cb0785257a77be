"""Reads pages of STAC items whose fields are as nearly all publishers write them, several times faster.

Rules:
1. A page is read here whole or not at all: if one value is unusual (another type, a relative link, an alternate, a bare
   checksum, two files of one name), the page is read in the general way (`stac_assets`).
2. The general way would give the same.
"""

from functools import lru_cache
from urllib.parse import unquote

import msgspec

from manifests.digest import parse_multihash
from manifests.readers.stac_assets import MAX_ASSETS, Assets
from manifests.readers.stac_options import StacOptions
from manifests.reading import MAX_SIZE, is_plain_url, moment
from manifests.stat import Stat

TRIES = 3  # pages in a row that are unusual, after which none is tried


class PlainAsset(msgspec.Struct):
    """The fields of an asset that count. `alternate` and `local_path` make it unusual."""

    href: str
    type: str | None = None
    updated: str | None = None
    size: int | None = msgspec.field(default=None, name="file:size")
    checksum: str | None = msgspec.field(default=None, name="file:checksum")
    multihash: str | None = msgspec.field(default=None, name="checksum:multihash")
    local_path: object = msgspec.field(default=None, name="file:local_path")
    alternate: object = None


class PlainProperties(msgspec.Struct):
    """The properties of an item that count."""

    updated: str | None = None


class PlainFeature(msgspec.Struct):
    """The fields of an item that count."""

    id: str
    assets: dict[str, PlainAsset]
    collection: str | None = None
    properties: PlainProperties | None = None


class PlainPage(msgspec.Struct):
    """A page of items; see `stac.StacPage`."""

    features: list[PlainFeature]
    links: object = None
    context: object = None
    numberReturned: object = None  # noqa: N815  STAC's own name
    numberMatched: object = None  # noqa: N815  STAC's own name


_DECODER = msgspec.json.Decoder(PlainPage)


class PlainPageReader:
    """The items of one mirror's search."""

    def __init__(self, options: StacOptions, assets: Assets) -> None:
        self._template = options.template
        self._schemes = tuple(f"{scheme}://" for scheme in options.prefer if scheme != "s3")
        self._wants = lru_cache(maxsize=1024)(lambda key, kind: assets.wants(key, {"type": kind}))
        self._tries = TRIES if options.is_search and not (options.items or options.roles or assets.is_dated) else 0

    def begin(self) -> None:
        """Begin a survey, in which each kind of asset is looked at once more."""
        self._wants.cache_clear()

    def read(self, body: bytes) -> tuple[PlainPage, list[Stat]] | None:
        """Return a page, and a Stat for each asset that is wanted; None if the page is unusual."""
        if not self._tries:
            return None
        self._tries -= 1
        try:
            page = _DECODER.decode(body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return None
        stats: list[Stat] = []
        for item in page.features:
            if not self._read(item, stats):
                return None
        self._tries = TRIES
        return page, stats

    def _read(self, item: PlainFeature, stats: list[Stat]) -> bool:
        """Add the assets of an item to `stats`; return False if it is unusual."""
        name, assets = item.id, item.assets
        collection = item.collection or name
        if not name or name.strip() != name or collection.strip() != collection or len(assets) > MAX_ASSETS:
            return False
        files, before, wants = set[str](), len(stats), self._wants
        for key, asset in assets.items():
            if asset.alternate is not None or asset.local_path is not None or not key:
                return False
            if not wants(key, asset.type):
                continue
            url = asset.href
            if not url.startswith(self._schemes) or not is_plain_url(url) or url.count("/") < 3 or url.endswith("/"):
                return False
            file = url.rpartition("/")[2]
            if "%" in file:
                file = unquote(file)
            if not file or file.startswith("$"):
                file = key
            files.add(file.casefold())
            digests: dict[str, str] = {}
            version = None
            if value := asset.checksum or asset.multihash:
                found = parse_multihash(value)
                if found is None:
                    return False
                digests[found[0]] = found[1]
            else:
                version = _version(item, asset)
            path = self._template.format(collection=collection, id=name, key=key, file=file).lstrip("/")
            length = asset.size if asset.size is None or 0 <= asset.size < MAX_SIZE else None
            stats.append(Stat(path, length, None, version, digests, (url,)))
        return len(files) == len(stats) - before


def _version(item: PlainFeature, asset: PlainAsset) -> str | None:
    told = (asset.updated or "").strip()
    if not told and item.properties is not None:
        told = (item.properties.updated or "").strip()
    return f"updated:{told}" if moment(told) is not None else None
