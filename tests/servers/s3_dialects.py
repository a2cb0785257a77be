"""The dialects of S3 that servers speak, each a small table of its documented oddities.

`speaking` puts a proxy in front of a real server that gives it the oddities of one dialect: addresses, regions, ETags,
limits, and operations that are missing. Requests are signed again on their way, for the server behind; the region that
the client signed for is checked, its signature is not.
"""

import hashlib
import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from tests.servers.s3_proxy import error

KMS = {"x-amz-server-side-encryption": "aws:kms"}
NOT_IMPLEMENTED = error(501, "NotImplemented")


@dataclass(frozen=True)
class Dialect:
    """What a server does otherwise than AWS with keys of its own (SSE-S3)."""

    etags: str = "md5"
    """Of objects: `md5`, `upper`, `own` (32 digits that are no MD5), `unquoted`."""
    joined: str = "md5"
    """Of joined objects: `md5` (of MD5s), `own` (as many digits and the number), `opaque` (no digits at all)."""
    says: dict[str, str] = field(default_factory=dict)
    """Headers of each answer to a write."""
    virtual_only: str = ""
    """The error code for a bucket in the path."""
    region: str = ""
    """The one region for which requests must be signed."""
    conditions: str = "kept"
    """If-None-Match on a put: `kept`, `ignored`, `refused` (501)."""
    ignores: tuple[str, ...] = ()
    """Headers that the server does not know."""
    unknown: tuple[str, ...] = ()
    """Headers that it refuses (501)."""
    payload: bool = False
    """Whether it refuses other bytes than those whose sha256 is signed."""
    copies: bool = True
    copies_parts: bool = True
    most_parts: int = 10_000
    least_part: int = 0
    sorts: bool = True
    """False: a listing is in an order of the server's own."""


DIALECTS = {
    # Default encryption with KMS: ETags are no MD5s of the bytes, in parts as in objects, and 32 digits all the same.
    # A wrong region is named in the document: docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
    # and .../API/ErrorResponses.html (AuthorizationHeaderMalformed).
    "aws-kms": Dialect(etags="own", joined="own", says=KMS, region="eu-central-1", payload=True),
    # AWS before August 2024 answered 501 to If-None-Match on a put: github.com/ceph/s3-tests/issues/218.
    "aws-2023": Dialect(conditions="refused", payload=True),
    # Encrypted objects have a random ETag, and so have all with --no-compat: github.com/minio/minio/issues/20520.
    "minio": Dialect(etags="own", joined="own", payload=True),
    # Buckets in the host name only (SecondLevelDomainForbidden: github.com/peak/s5cmd/issues/518); ETags in capitals, of
    # joined objects not as AWS makes them (www.alibabacloud.com/help/en/oss/developer-reference/putobject, and
    # "Alibaba seems to calculate multipart Etags differently": rclone, backend/s3); no If-None-Match on a put.
    "oss": Dialect(etags="upper", joined="own", virtual_only="SecondLevelDomainForbidden", conditions="ignored"),
    # Buckets made since 2024 in the host name only: cloud.tencent.com/document/faq/436/102489.
    "cos": Dialect(virtual_only="PathStyleDomainForbidden", joined="own", conditions="ignored"),
    # support.huaweicloud.com/intl/en-us/api-obs/obs_04_0115.html: VirtualHostDomainRequired.
    "obs": Dialect(virtual_only="VirtualHostDomainRequired", conditions="ignored", ignores=("x-amz-checksum-sha256",)),
    # developers.cloudflare.com/r2/api/s3/api: the region is auto; multipart ETags are random (rclone, Cloudflare.yaml).
    "r2": Dialect(region="auto", joined="own", payload=True),
    # docs.wasabi.com: no conditional writes, no checksums of its own.
    "wasabi": Dialect(conditions="ignored", payload=True, ignores=("x-amz-checksum-sha256",)),
    # www.scaleway.com/en/docs/object-storage/api-cli/multipart-uploads: 1 to 1000 parts (two here, to keep it short); the
    # region in the document only, without x-amz-bucket-region.
    "scaleway": Dialect(region="nl-ams", most_parts=2),
    # storj.dev/dcs/buckets/object-listings: not in the order of names; no copies of parts, parts of 64 MiB and more
    # (rclone, Storj.yaml: min_chunk_size; 1.5 MiB here).
    "storj": Dialect(sorts=False, copies_parts=False, least_part=3 << 19, conditions="refused"),
    # cloud.google.com/storage/docs/hashes-etags: composite objects have no MD5; no copies of parts
    # (issuetracker.google.com/issues/323465186); If-None-Match and the checksums of AWS mean nothing on a put.
    "gcs": Dialect(joined="opaque", copies_parts=False, conditions="ignored", ignores=("x-amz-checksum-sha256",)),
    # s3proxy and others (github.com/andrewgaul/s3proxy/wiki/Storage-backend-compatibility): no copies at all, ETags
    # without quotes, no Content-MD5.
    "plain": Dialect(
        etags="unquoted", copies=False, conditions="refused", unknown=("content-md5", "x-amz-checksum-mode")
    ),
}


@dataclass
class Asked:
    """A request as the client sent it; `headers` have lower-case names."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def region(self):
        """The region that it was signed for."""
        scope = self.headers.get("authorization", "").partition("Credential=")[2].split("/")
        return scope[-3] if len(scope) > 3 else ""

    @property
    def part(self):
        found = re.search(r"partNumber=(\d+)", self.target)
        return int(found[1]) if found is not None else 0


class Speaker:
    """One dialect on its way: rewrites requests to the server's own, and answers to the dialect's."""

    def __init__(self, dialect: Dialect, bucket: str):
        self.dialect, self.bucket = dialect, bucket
        self.theirs: dict[str, str] = {}  # an ETag of the dialect to the server's
        self.sizes: dict[str, dict[int, int]] = {}  # of the parts of an upload

    def refuse(self, asked: Asked):
        """Return the dialect's own answer to a request, or None."""
        dialect, headers = self.dialect, asked.headers
        in_path = not headers.get("host", "").startswith(f"{self.bucket}.")
        if in_path and dialect.virtual_only:
            return error(403, dialect.virtual_only)
        if dialect.region and asked.region != dialect.region:
            return malformed(dialect.region)
        if "x-amz-copy-source" in headers and not (dialect.copies_parts if asked.part else dialect.copies):
            return NOT_IMPLEMENTED
        signed = headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        if dialect.payload and signed not in {"UNSIGNED-PAYLOAD", hashlib.sha256(asked.body).hexdigest()}:
            return error(400, "XAmzContentSHA256Mismatch")
        if "if-none-match" in headers and dialect.conditions == "refused":
            return NOT_IMPLEMENTED
        if any(name in headers for name in dialect.unknown):
            return NOT_IMPLEMENTED
        if asked.part > dialect.most_parts:
            return error(400, "InvalidArgument")
        return self._refuse_small_parts(asked)

    def _refuse_small_parts(self, asked: Asked):
        upload = re.search(r"uploadId=([^&]+)", asked.target)
        if upload is None or not self.dialect.least_part:
            return None
        sizes = self.sizes.setdefault(unquote(upload[1]), {})
        if asked.method == "PUT":
            first, _, last = asked.headers.get("x-amz-copy-source-range", "").removeprefix("bytes=").partition("-")
            sizes[asked.part] = int(last) - int(first) + 1 if last else len(asked.body)
        elif asked.method == "POST":
            numbers = [int(number) for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", asked.body)]
            if any(sizes.get(number, 0) < self.dialect.least_part for number in sorted(numbers)[:-1]):
                return error(400, "EntityTooSmall")
        return None

    def request(self, asked: Asked):
        """Return the request for the server behind: its target, headers and body."""
        dialect, target = self.dialect, asked.target
        if asked.headers.get("host", "").startswith(f"{self.bucket}."):
            target = f"/{self.bucket}{target}"
        dropped = {*dialect.ignores, *(("if-none-match",) if dialect.conditions == "ignored" else ())}
        headers = {name: value for name, value in asked.headers.items() if name not in dropped}
        for name in ("if-match", "x-amz-copy-source-if-match"):
            if name in headers:
                headers[name] = self._back(headers[name])
        body = asked.body
        if asked.method == "POST":
            headers.pop("content-md5", None)
            body = re.sub(rb"(?<=<ETag>)[^<]*", lambda found: self._back(found[0].decode()).encode(), body)
        return target, headers, body

    def response(self, asked: Asked, headers: dict[str, str], body: bytes):
        """Return headers and body of an answer as the dialect gives them."""
        if "etag" in headers:
            headers["etag"] = self._spoken(headers["etag"])
        if asked.method in {"PUT", "POST"}:
            headers |= self.dialect.says
        body = re.sub(rb"(?<=<ETag>)[^<]*", lambda found: self._spoken(found[0].decode()).encode(), body)
        if not self.dialect.sorts and b"<ListBucketResult" in body:
            contents = re.findall(rb"<Contents>.*?</Contents>", body, re.DOTALL)
            shuffled = iter(sorted(contents, key=lambda one: hashlib.md5(one).digest()))
            body = re.sub(rb"<Contents>.*?</Contents>", lambda _: next(shuffled), body, flags=re.DOTALL)
        return headers, body

    def _spoken(self, quoted: str):
        etag, number = etag_of(quoted)
        kind = self.dialect.joined if number else self.dialect.etags
        digits = hashlib.md5(etag.encode()).hexdigest()
        match kind:
            case "own":
                mine = digits + number
            case "opaque":
                mine = f"CMae{digits[:10]}0CEAE="
            case "upper":
                mine = etag.upper() + number
            case _:
                mine = etag + number
        self.theirs[mine] = etag + number
        return mine if self.dialect.etags == "unquoted" else quoted.replace(etag + number, mine)

    def _back(self, quoted: str):
        bare = re.sub(r"&quot;|&#34;|\"", "", quoted)
        if self.dialect.etags == "unquoted" and bare != quoted and "&" not in quoted:
            return '"no such ETag"'  # compared as it stands, with the quotes
        return f'"{self.theirs.get(bare, bare)}"' if "&" not in quoted else f"&quot;{self.theirs.get(bare, bare)}&quot;"


def etag_of(quoted: str):
    """Return an ETag's digits, and `-N` if it has that, without quotes."""
    bare = re.sub(r"&quot;|&#34;|\"", "", quoted)
    digits, dash, number = bare.partition("-")
    return digits, dash + number


def malformed(region: str):
    """Return the answer to a request that was signed for another region."""
    body = (
        "<?xml version='1.0'?><Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is "
        f"malformed; the region is wrong; expecting '{region}'</Message><Region>{region}</Region></Error>"
    )
    head = f"HTTP/1.1 400 X\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()
