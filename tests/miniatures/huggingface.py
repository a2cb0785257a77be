"""Hugging Face: a commit, a tree in pages of two, files in LFS behind a redirect, others as git holds them."""

import hashlib
from urllib.parse import quote

from aiohttp import web

from tests.miniatures.miniature import Miniature, sha256

REPOSITORY = "openslr/librispeech_asr"


def blob(content):
    """What git calls these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class HuggingFace(Miniature):
    """One dataset; what ends in `.parquet` lies in LFS."""

    reader = "huggingface"
    keys = f"repositories: [{REPOSITORY}]"

    def begin(self):
        return {".gitattributes": b"*.parquet lfs\n", "README.md": b"# Speech\n", "data/é #1.parquet": b"PAR1" * 999}

    def change(self):
        self.files |= {"data/é #1.parquet": b"PAR1" * 1000, "new.json": b"{}"}
        del self.files["README.md"]

    @property
    def commit(self):
        return hashlib.sha1(repr(sorted(self.files.items())).encode()).hexdigest()

    def answer(self, path, query, origin):
        tree = f"/api/datasets/{REPOSITORY}/tree/{self.commit}"
        root = f"/datasets/{REPOSITORY}/resolve/{self.commit}/"
        if path == f"/api/datasets/{REPOSITORY}/revision/main":
            return {"sha": self.commit, "lastModified": "2024-01-02T00:00:00.000Z", "gated": False}
        if path == tree:
            begin = int(query.get("cursor", "0"))
            rows = [
                {"type": "directory", "oid": "0" * 40, "size": 0, "path": "data"},
                *map(self.row, sorted(self.files)),
            ]
            more = (
                {"Link": f'<{origin}{tree}?recursive=true&cursor={begin + 2}>; rel="next"'}
                if begin + 2 < len(rows)
                else {}
            )
            return web.json_response(rows[begin : begin + 2], headers=more)
        if path.startswith(root):
            content = self.files.get(path.removeprefix(root))
            if content is not None and path.endswith(".parquet"):
                raise web.HTTPFound(f"{origin}/cdn/{quote(path.removeprefix(root))}?X-Amz-Signature=passing")
            headers = {"X-Repo-Commit": self.commit}
            return (
                None
                if content is None
                else web.Response(body=content, headers=headers | {"ETag": f'"{blob(content)}"'})
            )
        return self.files.get(path.removeprefix("/cdn/")) if path.startswith("/cdn/") else None

    def row(self, path):
        content = self.files[path]
        if not path.endswith(".parquet"):
            return {"type": "file", "oid": blob(content), "size": len(content), "path": path}
        lfs = {"oid": sha256(content), "size": len(content), "pointerSize": 134}
        return {"type": "file", "oid": "1" * 40, "size": len(content), "path": path, "lfs": lfs, "xetHash": "0" * 64}
