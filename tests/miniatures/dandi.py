"""DANDI: assets page by page, files behind a redirect to a bucket, and the files inside a Zarr with their own pages."""

from urllib.parse import quote, urlencode

from aiohttp import web

from tests.miniatures.miniature import Miniature, md5, sha256

ROWS = 2  # on a page, whatever is asked for


class Dandi(Miniature):
    """One dandiset without a published version; each folder whose name ends in .zarr is one asset."""

    reader = "dandi"
    at = "/api/"

    def __init__(self, dandiset="000026"):
        super().__init__()
        self.dandiset = dandiset
        self.keys = f'dandisets: ["{dandiset}"]'

    def begin(self):
        return {
            "sub-1/sub-1_ecephys.nwb": b"\x89HDF\r\n" * 100,
            "sub-1/sub-1_image.ome.zarr/.zattrs": b"{}",
            "sub-1/sub-1_image.ome.zarr/0/0.0": bytes(300),
            "sub-1/sub-1_image.ome.zarr/0/0.1": bytes(200),
            "sub-2/sub 2.nwb": b"two",
            "sub-3/gone.nwb": b"gone",
        }

    def change(self):
        self.files |= {"sub-2/sub 2.nwb": b"two again", "sub-1/sub-1_image.ome.zarr/0/1.0": bytes(100)}
        del self.files["sub-3/gone.nwb"]

    def answer(self, path, query, origin):
        api = f"{origin}{self.at}"
        if path == f"/api/dandisets/{self.dandiset}/":
            return {
                "identifier": self.dandiset,
                "most_recent_published_version": None,
                "draft_version": {"version": "draft"},
            }
        if path == f"/api/dandisets/{self.dandiset}/versions/draft/assets/":
            return self.page(sorted(self.assets()), query, f"{api}dandisets/{self.dandiset}/versions/draft/assets/")
        if path.startswith("/api/zarr/"):
            return self.inside(path.removeprefix("/api/zarr/").removesuffix("/files/"), query, api)
        if path.startswith("/api/assets/"):
            found = {self.key(asset): asset for asset in self.assets()}
            raise web.HTTPFound(f"{origin}/blobs/{quote(found[path.split('/')[3]])}?X-Amz-Signature=passing")
        return self.files.get(path.removeprefix("/blobs/")) if path.startswith("/blobs/") else None

    def assets(self):
        return {path.partition(".zarr/")[0] + ".zarr" if ".zarr/" in path else path for path in self.files}

    def key(self, asset):
        return sha256(asset.encode())[:32]

    def page(self, assets, query, url):
        begin = (int(query.get("page", "1")) - 1) * ROWS
        words = {"metadata": "true", "order": "path", "page": begin // ROWS + 2}
        more = f"{url}?{urlencode(words)}" if begin + ROWS < len(assets) else None
        return {"count": len(assets), "next": more, "results": [self.row(one) for one in assets[begin : begin + ROWS]]}

    def row(self, asset):
        content = self.files.get(asset)
        row = {"asset_id": self.key(asset), "path": asset, "modified": "2024-05-06T00:00:00.000000Z"}
        if content is None:
            return row | {"blob": None, "zarr": self.key(asset), "size": 1, "metadata": {"digest": {}}}
        digest = {"dandi:dandi-etag": f"{md5(content)}-1", "dandi:sha2-256": sha256(content)}
        return row | {"blob": md5(content), "zarr": None, "size": len(content), "metadata": {"digest": digest}}

    def inside(self, key, query, api):
        (root,) = (f"{asset}/" for asset in self.assets() if self.key(asset) == key)
        if query.get("download") == "true":
            raise web.HTTPFound(f"{api.removesuffix(self.at)}/blobs/{quote(root + query['prefix'])}")
        names = sorted(path.removeprefix(root) for path in self.files if path.startswith(root))
        names = [name for name in names if name > query.get("after", "")]
        more = f"{api}zarr/{key}/files/?{urlencode({'after': names[ROWS - 1]})}" if len(names) > ROWS else None
        return {"next": more, "results": [self.file(root, name) for name in names[:ROWS]]}

    def file(self, root, name):
        content = self.files[root + name]
        return {"Key": name, "LastModified": "2024-05-06T00:00:00+00:00", "ETag": md5(content), "Size": len(content)}
