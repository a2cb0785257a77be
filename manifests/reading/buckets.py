"""Recognises the listing of a bucket where another document was expected, and says how to mirror it."""

import re
from urllib.parse import unquote, urlsplit

from manifests.messages import message
from manifests.reading.document import DocumentError

HEAD = 4096  # bytes of a document in which its name and that of its bucket are looked for

_BUCKET = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)?<(?:\w+:)?"
    rb"(ListBucketResult|ListVersionsResult|ListAllMyBucketsResult|EnumerationResults)[\s>/]",
    re.DOTALL,
)
_NAME = re.compile(rb"<(?:\w+:)?Name>([A-Za-z0-9][A-Za-z0-9._-]{1,254})</")
_AMAZON = ".amazonaws.com"


def refuse_bucket(head: bytes, url: str) -> None:
    """Raise DocumentError if a document begins as the listing of a bucket does; it says which url reads that bucket."""
    found = _BUCKET.match(head, 0, HEAD)
    if found is None:
        return
    if found[1] == b"EnumerationResults":
        raise DocumentError(message("{url}: the listing of an Azure container, which this reader cannot read", url=url))
    there = urlsplit(url)
    host, folder = there.netloc.rpartition("@")[2], unquote(there.path).strip("/")
    named = _NAME.search(head, 0, HEAD) if found[1] != b"ListAllMyBucketsResult" else None
    name = named[1].decode() if named is not None else "BUCKET"
    if named is not None and host.startswith(f"{name}."):
        host = host.removeprefix(f"{name}.")
    elif folder == name or folder.startswith(f"{name}/"):
        folder = folder[len(name) + 1 :]
    prefix = f"{folder}/" if folder else ""
    keys = f"url: s3://{name}/{prefix}, reader: objects"
    if not host.endswith(_AMAZON):
        keys += f", endpoint: {there.scheme}://{host}"
    raise DocumentError(message("{url}: the listing of a bucket: write {keys}", url=url, keys=keys))
