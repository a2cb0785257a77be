"""The errors of S3 answers: a full store in any words, rights by name, and busy servers."""

import pytest

from syncd.core.errors import Denied, NoSpace, NotFound, Refused, TooLarge, Unsupported
from transports.s3.errors import PartTooSmall, failure
from transports.s3.rights import action


def document(code, text="so it is", more=""):
    return f"<Error><Code>{code}</Code><Message>{text}</Message>{more}</Error>".encode()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, document("QuotaExceeded")),
        (507, document("XMinioStorageFull")),
        (503, document("XMinioStorageFull")),
        (507, b""),
        (507, document("InsufficientStorage")),
        (400, document("XMinioAdminBucketQuotaExceeded")),
        (400, document("EntityTooLarge")),
        (413, document("EntityTooLarge")),
        (413, document("RequestEntityTooLarge")),
        (413, b"<html>Upload exceeds quota.</html>"),
        (409, document("InsufficientStorageSpace")),
        (403, document("InsufficientStorageSpace")),
        (403, document("OverQuota")),
        (403, document("StorageLimitExceeded")),
        (403, document("AccessDenied", "Cannot upload: storage cap exceeded")),
        (403, document("AccessDenied", "Your request was denied due to quota exceeded.")),
        (500, document("InternalError", "QUOTA_EXCEEDED: the bucket has no quota left")),
        (400, document("InvalidRequest", "No space left on device")),
        (409, document("OperationAborted", "insufficient storage")),
    ],
)
def test_a_full_store_is_one_whatever_the_words(status, body):
    found = failure(status, body, "a", writes="body")
    assert isinstance(found, NoSpace), found
    assert "free some space" in str(found)


@pytest.mark.parametrize(
    ("status", "body", "writes", "kind"),
    [
        (503, document("SlowDown"), "body", Refused),
        (429, document("QuotaExceeded"), "body", Refused),
        (503, document("BucketThrottleQuotaExceeded"), "body", Refused),
        (403, document("AccessDenied", "bandwidth quota of requests per second"), "body", Denied),
        (403, document("AccessDenied", "quota"), "", Denied),  # of a source, that is only read
        (400, document("EntityTooLarge"), "copy", TooLarge),
        (413, b"<html><h1>413 Request Entity Too Large</h1>nginx</html>", "body", TooLarge),
        (400, document("InvalidArgument"), "body", Unsupported),
        (404, document("NoSuchKey"), "body", NotFound),
    ],
)
def test_no_other_answer_is_taken_for_a_full_store(status, body, writes, kind):
    found = failure(status, body, "a", writes=writes)
    assert isinstance(found, kind)
    assert not isinstance(found, NoSpace)


def test_a_limit_of_bodies_names_both_causes():
    assert "client_max_body_size" in str(failure(413, b"<html>too large</html>", "a", writes="body"))
    assert "client_max_body_size" in str(failure(413, document("EntityTooLarge"), "a", writes="body"))


def test_the_size_that_a_server_names_is_learnt():
    found = failure(400, document("EntityTooSmall", more="<MinSizeAllowed>5242880</MinSizeAllowed>"), "a")
    assert isinstance(found, PartTooSmall)
    assert found.least == 5 << 20
    unreadable = failure(400, document("EntityTooSmall", more="<MinSizeAllowed>x</MinSizeAllowed>"), "a")
    assert isinstance(unreadable, PartTooSmall)
    assert unreadable.least == 0


@pytest.mark.parametrize(
    ("method", "key", "query", "right"),
    [
        ("GET", "", {"list-type": "2"}, "s3:ListBucket"),
        ("GET", "", {"uploads": ""}, "s3:ListBucketMultipartUploads"),
        ("GET", "k", {}, "s3:GetObject"),
        ("HEAD", "k", {}, "s3:GetObject"),
        ("GET", "k", {"uploadId": "u"}, "s3:ListMultipartUploadParts"),
        ("PUT", "k", {}, "s3:PutObject"),
        ("POST", "k", {"uploads": ""}, "s3:PutObject"),
        ("DELETE", "k", {}, "s3:DeleteObject"),
        ("DELETE", "k", {"uploadId": "u"}, "s3:AbortMultipartUpload"),
    ],
)
def test_a_denied_request_names_the_right_that_it_needs(method, key, query, right):
    assert action(method, key, query) == right
    found = failure(403, document("AccessDenied"), "a", action=right)
    assert isinstance(found, Denied)
    assert f"do they grant {right}?" in str(found)
