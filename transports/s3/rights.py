"""The right that a request needs, by the name that AWS gives it, for the messages of those that are denied."""

from collections.abc import Mapping


def action(method: str, key: str, query: Mapping[str, str]) -> str:
    """Return the name of the right."""
    if not key:
        return "s3:ListBucketMultipartUploads" if "uploads" in query else "s3:ListBucket"
    if method in {"GET", "HEAD"}:
        return "s3:ListMultipartUploadParts" if "uploadId" in query else "s3:GetObject"
    if method == "DELETE":
        return "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"
    return "s3:PutObject"
