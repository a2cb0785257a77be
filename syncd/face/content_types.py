"""The media type of a file by its name, and whether a browser may show it. Pure.

A compressed file is sent as it is: its type is that of the compression, and there is no Content-Encoding, with which
clients would unpack it and then find another checksum.
"""

from urllib.parse import quote

_TYPES = {
    "avif": "image/avif",
    "bib": "application/x-bibtex",
    "bmp": "image/bmp",
    "bz2": "application/x-bzip2",
    "css": "text/css; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "fits": "application/fits",
    "geojson": "application/geo+json",
    "gif": "image/gif",
    "gpkg": "application/geopackage+sqlite3",
    "grb": "application/wmo-GRIB2",
    "grib": "application/wmo-GRIB2",
    "grib2": "application/wmo-GRIB2",
    "gz": "application/gzip",
    "h5": "application/x-hdf5",
    "hdf": "application/x-hdf",
    "hdf5": "application/x-hdf5",
    "htm": "text/html",
    "html": "text/html",
    "jp2": "image/jp2",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "kml": "application/vnd.google-earth.kml+xml",
    "md": "text/markdown; charset=utf-8",
    "mht": "multipart/related",
    "mhtml": "multipart/related",
    "mp4": "video/mp4",
    "nc": "application/x-netcdf",
    "nc4": "application/x-netcdf",
    "netcdf": "application/x-netcdf",
    "parquet": "application/vnd.apache.parquet",
    "pdf": "application/pdf",
    "png": "image/png",
    "rdf": "application/rdf+xml",
    "svg": "image/svg+xml",
    "tar": "application/x-tar",
    "tgz": "application/gzip",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "ttl": "text/turtle; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "webp": "image/webp",
    "xht": "application/xhtml+xml",
    "xhtml": "application/xhtml+xml",
    "xml": "application/xml",
    "xsl": "application/xml",
    "xz": "application/x-xz",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "zip": "application/zip",
    "zst": "application/zstd",
}
_UNKNOWN = "application/octet-stream"
_ACTIVE = ("text/html", "multipart/related", "text/javascript")


def media_type(path: str) -> str:
    """Return the media type of a file."""
    name, dot, extension = path.rpartition("/")[2].rpartition(".")
    return _TYPES.get(extension.lower(), _UNKNOWN) if name and dot else _UNKNOWN


def is_active(media: str) -> bool:
    """Return True for a type in which a browser may find a script: such a file is only ever saved."""
    return media in _ACTIVE or media.startswith(_ACTIVE) or media.endswith("xml")


def saved_as(path: str) -> str:
    """Return the Content-Disposition of a file that a browser saves (RFC 6266)."""
    name = path.rpartition("/")[2]
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"
