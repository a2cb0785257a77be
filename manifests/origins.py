"""The url of a source, validated and normalised, and the origin that secrets and limits are bound to."""

import ipaddress
import re
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

import idna

from manifests.errors import InvalidValue
from manifests.messages import message

SCHEMES = frozenset({"http", "https", "s3", "file", "ftp", "ftps", "sftp"})
ORIGINS = SCHEMES - {"file"}
_DEFAULT_PORTS = {"http": 80, "https": 443, "ftp": 21, "ftps": 21, "sftp": 22}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_HOST = re.compile(r"[0-9a-z._-]{1,253}")
_PORT = re.compile(r"[0-9]{1,5}")
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\]")
MAX_URL = 2_000


def check_folder_url(url: str, schemes: frozenset[str] = SCHEMES) -> str:
    """Return the normalised url of a folder: scheme and host in lower case, the path unchanged, `/` at its end.

    Raises InvalidValue for other schemes, for urls with a name, password or fragment, and for invalid urls.
    """
    parts = _split(url, schemes)
    if "#" in url:
        raise InvalidValue(
            message("the url has a fragment (#)"), message("remove it, or write %23 if a name contains a #")
        )
    if "?" in url:
        raise InvalidValue(
            message("the url has a query (?)"), message("name the folder itself, or write %3F if a name contains a ?")
        )
    if parts.scheme == "file":
        if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
            raise InvalidValue(
                message("a file url names an absolute folder"), message("write file:///folder/ with three slashes")
            )
        start = "file://"
    else:
        start = origin(url, schemes)
    return f"{start}{parts.path.rstrip('/')}/"


def origin(url: str, schemes: frozenset[str] = SCHEMES) -> str:
    """Return the normalised origin of a url in a manifest or configuration; raises InvalidValue."""
    parts = _split(url, schemes)
    if parts.scheme not in {"s3", "file"} and not parts.netloc.isascii():
        raise InvalidValue(
            message("the url's host is not ASCII"), message("write it in its ASCII form, which begins with xn--")
        )
    try:
        return origin_of(url)
    except ValueError as error:
        todo = "s3://bucket/ or s3://bucket/prefix/" if parts.scheme == "s3" else "https://host/folder/"
        raise InvalidValue(
            message("the url {cause}", cause=error), message("write it as in {todo}", todo=todo)
        ) from error


def origin_of(url: str) -> str:
    """Return the normalised `scheme://host[:port]` of any url: limits and secrets are bound to it.

    Lower case, ASCII, no user, no default port; `s3://bucket` and `file://` for these. Raises ValueError if the
    url has no origin; the message continues "the url".
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ValueError(message("has no scheme"))
    for end in "/?#":
        rest = rest.partition(end)[0]
    return _one_form(scheme.lower(), rest.rpartition("@")[2])


@lru_cache(1024)
def _one_form(scheme: str, host: str) -> str:
    if scheme == "file":
        return "file://"
    if scheme == "s3":
        if _BUCKET.fullmatch(host) is None:
            raise ValueError(message("names no bucket"))
        return f"s3://{host}"
    name, port = _host(host)
    return f"{scheme}://{name}" + (f":{port}" if port not in {None, _DEFAULT_PORTS.get(scheme)} else "")


def _host(written: str) -> tuple[str, int | None]:
    if written.startswith("["):
        inside, closed, rest = written[1:].partition("]")
        try:
            name, port = f"[{ipaddress.IPv6Address(inside)}]", rest[1:]
        except ValueError as error:
            raise ValueError(message("has an invalid address")) from error
        if not closed or "%" in inside or (rest and not rest.startswith(":")):
            raise ValueError(message("has an invalid address"))
    else:
        name, _, port = written.partition(":")
        name = (name if name.isascii() else _ascii(name)).lower().removesuffix(".")
        if _HOST.fullmatch(name) is None:
            raise ValueError(message("has no host, or an invalid one"))
    if port and not (_PORT.fullmatch(port) and 0 < int(port) < 65_536):
        raise ValueError(message("has an invalid port"))
    return name, int(port) if port else None


def _ascii(name: str) -> str:
    try:
        return idna.encode(name, uts46=True).decode()
    except UnicodeError as error:
        raise ValueError(message("has an invalid host")) from error


def normalise_origin(url: str) -> str:
    """Return a normalised origin (`https://host[:port]`, `s3://bucket`); raises InvalidValue."""
    found = origin(url.strip(), ORIGINS)
    if url.strip().partition("://")[2].partition("/")[2]:
        raise InvalidValue(
            message("the origin has a path"), message("write scheme and host alone, as in {found}", found=found)
        )
    return found


def _split(url: str, schemes: frozenset[str]) -> SplitResult:
    if len(url) > MAX_URL:
        raise InvalidValue(
            message("the url has more than {max_url} characters", max_url=MAX_URL),
            message("a source is a folder; name it"),
        )
    if _UNFIT.search(url):
        raise InvalidValue(
            message("the url has a backslash or a control character"), message("write / between folders")
        )
    if " " in url and not url.startswith("s3://"):  # a key is not percent-decoded, all else is
        raise InvalidValue(message("the url has a space"), message("write it as %20"))
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidValue(message("this is not a url"), message("write it as in https://host/folder/")) from error
    if "@" in parts.netloc:
        raise InvalidValue(
            message("the url has a name or a password"),
            message("remove it, and name a credential of syncd.yaml under credentials"),
        )
    if "://" not in url:
        raise InvalidValue(message("is not a url"), message("write it as in https://host/folder/"))
    if parts.scheme not in schemes or not url[len(parts.scheme) :].startswith("://"):
        raise InvalidValue(
            message("the url's scheme is not supported"), message("use {schemes}", schemes=sorted(schemes))
        )
    return parts
