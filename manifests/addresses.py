"""Where a source is: its url, checked and put into one form, and the origin that secrets and limits are bound to."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from manifests.unfit import Unfit

SCHEMES = frozenset({"http", "https", "s3", "file"})
ORIGINS = frozenset({"http", "https", "s3", "ftp", "sftp"})
_DEFAULT_PORTS = {"http": 80, "https": 443, "ftp": 21, "sftp": 22}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_HOST = re.compile(r"[^\s/?#@\\\[\]<>\"'^`{|}%]{1,253}")
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\]")
MAX_URL = 2_000


def check_folder_url(url: str, schemes: frozenset[str] = SCHEMES) -> str:
    """Return the url of a folder in its one form: scheme and host in lower case, exactly what is asked, `/` at its end.

    Raises Unfit for other schemes, for what holds a name, a password or a fragment, and for what is no url.
    """
    parts = _split(url, schemes)
    if "#" in url:
        raise Unfit("the url has a fragment (#)", "drop it, or write %23 where a name holds a #")
    if "?" in url:
        raise Unfit("the url has a query (?)", "name the folder itself, or write %3F where a name holds a ?")
    if parts.scheme == "file":
        if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
            raise Unfit("a file url names an absolute folder", "write file:///folder/ with three slashes")
        start = "file://"
    else:
        start = origin(url, schemes)
    return f"{start}{parts.path.rstrip('/')}/"


def origin(url: str, schemes: frozenset[str] = SCHEMES) -> str:
    """Return `scheme://host[:port]` without the default port, or `s3://bucket`; raises Unfit."""
    parts = _split(url, schemes)
    if parts.scheme == "s3":
        if _BUCKET.fullmatch(parts.netloc) is None:
            raise Unfit("the bucket's name is not one", "write s3://bucket/ or s3://bucket/prefix/")
        return f"s3://{parts.netloc}"
    if parts.scheme == "file":
        return "file://"
    host, port = _host(parts)
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in {None, _DEFAULT_PORTS.get(parts.scheme)} else "")


def normalise_origin(url: str) -> str:
    """Return an origin that stands alone in its one form (`https://host[:port]`, `s3://bucket`); raises Unfit."""
    found = origin(url.strip(), ORIGINS)
    if url.strip().partition("://")[2].partition("/")[2]:
        raise Unfit("the origin has a path", f"write scheme and host alone, as in {found}")
    return found


def _split(url: str, schemes: frozenset[str]) -> SplitResult:
    if len(url) > MAX_URL:
        raise Unfit(f"the url has more than {MAX_URL} characters", "a source is a folder; name it")
    if _UNFIT.search(url):
        raise Unfit("the url holds a backslash or a control character", "write / between folders")
    if " " in url and not url.startswith("s3://"):  # a key is taken as it stands, all else is percent-decoded
        raise Unfit("the url holds a space", "write it as %20")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise Unfit("this is no url", "write it as in https://host/folder/") from error
    if "@" in parts.netloc:
        raise Unfit(
            "the url holds a name or a password",
            "drop it, a secret never stands here; put it where a credential of syncd.yaml finds it",
        )
    if parts.scheme not in schemes or not url[len(parts.scheme) :].startswith("://"):
        raise Unfit("the url's scheme is not one we know", f"use {', '.join(sorted(schemes))}")
    return parts


def _host(parts: SplitResult) -> tuple[str, int | None]:
    try:
        host, port = (parts.hostname or "").removesuffix("."), parts.port
        if ":" in host:
            host = f"[{ipaddress.IPv6Address(host)}]"
        elif _HOST.fullmatch(host) is None:
            raise Unfit("the url has no host, or one that cannot be", "write it as in https://host/folder/")
    except Unfit:
        raise
    except ValueError as error:
        raise Unfit("the url's port or address cannot be", "write it as in https://host:8443/") from error
    if not host.isascii():
        raise Unfit("the url's host is not ASCII", "write it in its ASCII form, which begins with xn--")
    if port == 0:
        raise Unfit("the url's port is 0", "write the port the server listens on")
    return host, port
