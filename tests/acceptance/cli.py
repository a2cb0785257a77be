"""Runs the real command line against a store that is a folder or a bucket, and looks into the store as a reader would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
from botocore.config import Config

SYNCD = Path(sys.executable).with_name("syncd")


class Folder:
    """A store on disk."""

    kind = "folder"

    def __init__(self, root):
        self.root = root
        self.words, self.environ = ("--store", str(root)), {}

    def read(self, prefix):
        base = self.root / prefix
        return {p.relative_to(base).as_posix(): p.read_bytes() for p in base.rglob("*") if p.is_file()}

    def paths(self, prefix):
        return set(self.read(prefix))


class Bucket:
    """A store on a real S3 server."""

    kind = "bucket"

    def __init__(self, server, url):
        self.server, self.url, self.bucket = server, url, url.split("/")[2]
        self.base = "/".join(url.split("/")[3:]).rstrip("/") + "/"
        self.words = ("--store", url, "--endpoint", server.endpoint)
        self.environ = {
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.client = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
        )

    def paths(self, prefix):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.base + prefix)
        return {o["Key"].removeprefix(self.base + prefix) for page in pages for o in page.get("Contents", ())}

    def read(self, prefix):
        return {path: self.get(prefix + path) for path in self.paths(prefix)}

    def get(self, path):
        return self.client.get_object(Bucket=self.bucket, Key=self.base + path)["Body"].read()

    def put(self, path, content):
        self.client.put_object(Bucket=self.bucket, Key=self.base + path, Body=content)

    def remove(self, path):
        self.client.delete_object(Bucket=self.bucket, Key=self.base + path)

    def uploads(self):
        found = self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ())
        return [upload["Key"] for upload in found if upload["Key"].startswith(self.base)]


# The same program, whose retries wait for a moment only.
HASTY = (
    sys.executable,
    "-c",
    "from syncd.wrappers.retry_policy import Policy; Policy.wait = lambda *_: 0.01; from syncd.cli.main import main; main()",
)


def words(store, state, *more, program=(SYNCD,)):
    return [str(w) for w in (*program, *more, *store.words, "--state", state)]


def start(store, state, *more, program=(SYNCD,), **streams):
    return subprocess.Popen(
        words(store, state, *more, program=program), env={**os.environ, **store.environ}, text=True, **streams
    )


def run(store, state, *more, wanted=0, program=(SYNCD,)):
    """Return what a command printed on stdout; its exit code must be `wanted`."""
    process = start(store, state, *more, program=program, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=280)
    assert process.returncode == wanted, f"exit {process.returncode}\n{out}\n{err}"
    assert "Traceback" not in err, err
    assert "never awaited" not in err, err
    return out


def sync(store, state, *more, wanted=0):
    """Return the object that `sync --json` prints last."""
    return json.loads(run(store, state, "sync", *more, "--json", wanted=wanted).splitlines()[-1])


def tree(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
