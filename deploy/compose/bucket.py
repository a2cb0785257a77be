"""Makes a bucket as soon as an S3 server answers: python bucket.py ENDPOINT BUCKET."""

import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004

ENDED = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


def make(endpoint: str, bucket: str, patience: float = 120.0) -> None:
    """Make `bucket`, waiting for the server up to `patience` seconds."""
    client = boto3.client("s3", endpoint_url=endpoint, config=Config(s3={"addressing_style": "path"}))
    until = time.monotonic() + patience
    while True:
        try:
            client.create_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ENDED:
                raise
        except (ConnectionError, HTTPClientError):
            if time.monotonic() > until:
                raise
            time.sleep(1)
            continue
        return


if __name__ == "__main__":
    make(*sys.argv[1:])
    print(f"{sys.argv[2]}: the bucket is there")
