"""Reads the checksum file of one file: `scan.h5.md5` beside `scan.h5`."""

import posixpath

from manifests.messages import message
from manifests.readers.checksum_lines import parse_checksums
from manifests.reading import DocumentError


def sidecar_digests(body: bytes, path: str, marker: str) -> dict[str, str]:
    """Return the checksums that the file `path` + `marker` promises of the file `path`. Raises DocumentError."""
    name = posixpath.basename(path)
    lines = list(parse_checksums(body.splitlines(), name=path + marker))
    ours = [line for line in lines if posixpath.basename(line.name) == name]
    found = {line.algorithm: line.digest for line in ours if line.algorithm}
    if not found:
        raise DocumentError(message("{name}: has no checksum of {path}", name=path + marker, path=path))
    return found
