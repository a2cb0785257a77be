"""Names for the downloads of a dataset that portals describe by links: stable, and no two alike."""

import mimetypes
import re
from collections import Counter
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import xxhash

_EXTENSIONS = {
    "text/tab-separated-values": ".tsv",
    "application/x-netcdf": ".nc",
    "application/netcdf": ".nc",
    "application/x-hdf5": ".h5",
    "application/geo+json": ".geojson",
    "application/geopackage+sqlite3": ".gpkg",
    "application/vnd.apache.parquet": ".parquet",
    "application/ld+json": ".jsonld",
}


def link_name(url: str) -> str:
    """Return the name at the end of a link; "" if there is none, or none that can be a file's."""
    try:
        name = unquote(urlsplit(url).path.rpartition("/")[2])
    except ValueError:
        return ""
    return "" if name in {".", ".."} or "/" in name or not name.isprintable() else name


def download_names(links: Sequence[tuple[str, str]]) -> list[str]:
    """Return a name for each (url, media type): the end of its link, with an extension if it has none.

    Downloads that would share a name, whatever its case, have a folder each, named by a hash of their url: so a name
    does not change when another download comes or goes, unless that one shares it.
    """
    named = [_with_extension(link_name(url) or "download", kind) for url, kind in links]
    shared = Counter(name.lower() for name in named)
    return [
        f"{xxhash.xxh3_64_hexdigest(url.encode('utf-8', 'surrogatepass'))[:8]}/{name}"
        if shared[name.lower()] > 1
        else name
        for (url, _), name in zip(links, named, strict=True)
    ]


def dataset_folder(identifier: str) -> str:
    """Return a folder's name for a dataset: its identifier without a scheme, as one name."""
    return re.sub(r"[^\w.-]+", "_", identifier.partition("://")[2] or identifier).strip("._")[:150]


def _with_extension(name: str, kind: str) -> str:
    if re.fullmatch(r".+\.[A-Za-z][A-Za-z0-9]{0,9}", name):
        return name
    plain = kind.partition(";")[0].strip().lower()
    return name + (_EXTENSIONS.get(plain) or mimetypes.guess_extension(plain) or "")
