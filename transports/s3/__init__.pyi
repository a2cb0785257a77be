from .body import stat_of as stat_of
from .bucket_address import Addressing as Addressing
from .client import (
    HEADER_TIMEOUT as HEADER_TIMEOUT,
    INLINE as INLINE,
    NONE as NONE,
    Bucket as Bucket,
    md5_of as md5_of,
    sha256_of as sha256_of,
    split_url as split_url,
)
from .errors import (
    BadArgument as BadArgument,
    BadDigest as BadDigest,
    NoSuchBucket as NoSuchBucket,
    NoSuchUpload as NoSuchUpload,
    PartTooSmall as PartTooSmall,
    Precondition as Precondition,
    Unimplemented as Unimplemented,
    read_texts as read_texts,
    refused_xml as refused_xml,
)
from .listing import instant as instant
from .signing import Account as Account
from .transport import S3Transport as S3Transport
