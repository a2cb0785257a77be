"""Where a bucket answers: from its configuration at first, then as its server refers to it.

Rule 1: the bucket stands in the host name (virtual) at AWS and where the configuration or the server demands it, else
in the path.
Rule 2: a referral to another region, endpoint or form of address is followed once each, and remembered. An endpoint is
followed only within its provider, on the same scheme: credentials are never sent to the origin of another one.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from manifests.messages import message
from manifests.origins import origin_of
from syncd.core import ConfigError, Denied
from transports.s3.errors import VIRTUAL_ONLY, read_texts

Addressing = Literal["auto", "virtual", "path"]

_PLAIN_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")  # a name that is one label of a host name (RFC 1123)
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_EXPECTED = re.compile(r"expecting '([A-Za-z0-9-]{1,63})'")  # the text of AuthorizationHeaderMalformed
_AWS_HOST = re.compile(r"(?:.+\.)?s3[.-](?:dualstack\.)?(?:([a-z]{2}(?:-[a-z]+)+-\d+)\.)?amazonaws\.com(?:\.cn)?")
_REFERRING = frozenset({301, 302, 307, 308, 400, 403})
_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "go", "gob", "gov", "gv", "ne", "net", "or", "org"})
"""Labels below a country's domain under which names are registered, as in com.cn and ac.uk."""


@dataclass(frozen=True, slots=True)
class Referral:
    """What an error says of the place of a bucket; "" and False where it says nothing."""

    region: str = ""
    endpoint: str = ""
    is_virtual: bool = False


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """Where a bucket is: `origin` answers for it, `base` stands before each key, `region` is signed.

    `endpoint` is the origin without the bucket. `virtual_host` is the Host header of an endpoint without a domain.
    """

    origin: str
    base: str
    region: str
    endpoint: str = ""
    virtual_host: str = ""

    @property
    def host(self) -> str:
        """The Host header."""
        return self.virtual_host or self.origin.partition("://")[2]


def bucket_address(bucket: str, endpoint: str, region: str, addressing: Addressing) -> BucketAddress:
    """Return the address of a bucket at an endpoint. Raises ConfigError."""
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(message("{endpoint}: not an endpoint: give http(s)://host[:port]", endpoint=endpoint))
    above, there = parts.path.rstrip("/"), origin_of(endpoint)
    is_aws = parts.hostname.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    if addressing == "path" or not (addressing == "virtual" or (is_aws and _PLAIN_BUCKET.fullmatch(bucket))):
        return BucketAddress(there, f"{above}/{bucket}/", region, there)
    if parts.hostname == "localhost" or _is_address(parts.hostname):  # no name is below it
        return BucketAddress(there, f"{above}/", region, there, f"{bucket}.{there.partition('://')[2]}")
    return BucketAddress(origin_of(f"{parts.scheme}://{bucket}.{parts.netloc}"), f"{above}/", region, there)


def referral(status: int, headers: Mapping[str, str], document: bytes) -> Referral:
    """Return what an answer says of the place of the bucket."""
    if status not in _REFERRING:
        return Referral()
    texts = read_texts(document, ("Code", "Region", "Endpoint", "Message"))
    code, said = texts.get("Code", ""), texts.get("Message", "")
    region = headers.get("x-amz-bucket-region", "") or texts.get("Region", "").strip()
    if not region and code == "AuthorizationHeaderMalformed" and (found := _EXPECTED.search(said)) is not None:
        region = found[1]
    if not region and code == "InvalidRegionName" and re.search(r"\bauto\b", said):
        region = "auto"
    endpoint = texts.get("Endpoint", "").strip()
    if not endpoint and status in {301, 302, 307, 308}:
        endpoint = urlsplit(headers.get("location", "")).netloc
    return Referral(region if _REGION.fullmatch(region) else "", endpoint[:255], code in VIRTUAL_ONLY)


def referred_endpoint(bucket: str, place: BucketAddress, endpoint: str) -> str:
    """Return the url of the endpoint that a server refers to; "" if it is the same one.

    Raises Denied for an endpoint of another provider.
    """
    scheme, _, here = place.endpoint.partition("://")
    there = endpoint.rpartition("://")[2].rstrip("/").lower().removeprefix(f"{bucket}.")
    try:
        new, old = urlsplit(f"{scheme}://{there}"), urlsplit(f"{scheme}://{here}")
        ports = new.port, old.port
    except ValueError:
        return ""
    host = new.hostname or ""
    if not host or new.path or new.username or new.query:
        return ""
    if (host, new.port) == (old.hostname, old.port):
        return ""
    if not _is_same_provider(old.hostname or "", host) or ports[0] not in {ports[1], None}:
        raise Denied(
            message(
                "s3://{bucket}: {here} refers to {there}, which is not of the same provider: if it is right, "
                "set `endpoint` to it",
                bucket=bucket,
                here=here,
                there=there,
            )
        )
    return f"{scheme}://{there}"


def object_at(url: str, bucket: str, place: BucketAddress) -> tuple[str, str] | None:
    """Return bucket and key of a url at the endpoint of `place`, which is that of `bucket`; None if it is elsewhere."""
    there, here = urlsplit(url), urlsplit(place.endpoint)
    above = place.base.removesuffix(f"{bucket}/") if place.origin == place.endpoint else place.base
    if there.scheme != here.scheme or there.query or there.fragment or not there.path.startswith(above):
        return None
    path = unquote(there.path.removeprefix(above))
    if there.netloc == here.netloc:
        name, _, key = path.partition("/")
    elif there.netloc.endswith(f".{here.netloc}"):
        name, key = there.netloc.removesuffix(f".{here.netloc}"), path
    else:
        return None
    return (name, key) if name and key else None


def region_of(endpoint: str) -> str:
    """Return the region in the name of an endpoint of AWS, or ""."""
    found = _AWS_HOST.fullmatch(urlsplit(endpoint).hostname or "")
    return (found[1] or "") if found is not None else ""


def _is_same_provider(old: str, new: str) -> bool:
    if _is_address(old) or _is_address(new):
        return old == new
    if _registered(old) != _registered(new):
        return False
    if _registered(new).startswith("amazonaws.com"):  # other names there are of customers
        return _AWS_HOST.fullmatch(new) is not None
    return True


def _registered(host: str) -> str:
    """Return the registered domain of a host name."""
    labels = host.rstrip(".").split(".")
    is_below_country = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
    return ".".join(labels[-3 if is_below_country else -2 :])


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
