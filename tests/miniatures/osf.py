"""The Open Science Framework: folders and pages in JSON:API, files with two digests behind a redirect."""

from urllib.parse import quote

from aiohttp import web

from tests.miniatures.miniature import Miniature, md5, sha256

NODE = "fdkmx"


class Osf(Miniature):
    """One project, whose folders are those of the paths; two rows to a page."""

    reader = "osf"
    at = "/v2/"
    keys = f"nodes: [{NODE}]"

    def begin(self):
        return {"analysis.R": b"plot(1)\n", "data/raw one.csv": b"1,2\n", "data/x/deep.bin": bytes(5000), "z.txt": b"z"}

    def change(self):
        self.files |= {"data/raw one.csv": b"1,2,3\n", "data/y.csv": b"new\n"}
        del self.files["z.txt"]

    def answer(self, path, query, origin):
        root = f"/v2/nodes/{NODE}/files/osfstorage/"
        if path.startswith(root):
            folder = path.removeprefix(root)
            names = sorted({p[len(folder) :].partition("/")[0] for p in self.files if p.startswith(folder)})
            begin = (int(query.get("page", "1")) - 1) * 2
            more = f"{origin}{quote(path)}?page={begin // 2 + 2}" if begin + 2 < len(names) else None
            rows = [self.row(folder + name, origin, root) for name in names[begin : begin + 2]]
            return {"data": rows, "links": {"first": None, "next": more}, "meta": {"total": len(names)}}
        if path.startswith("/v1/resources/"):
            raise web.HTTPFound(f"{origin}/storage/{quote(path.removeprefix('/v1/resources/'))}?Signature=passing")
        return self.files.get(path.removeprefix("/storage/")) if path.startswith("/storage/") else None

    def row(self, path, origin, root):
        if path not in self.files:
            related = {"files": {"links": {"related": {"href": f"{origin}{root}{quote(path)}/"}}}}
            return {
                "id": "1",
                "attributes": {"kind": "folder", "materialized_path": f"/{path}/"},
                "relationships": related,
            }
        content = self.files[path]
        attributes = {
            "kind": "file", "name": path.rpartition("/")[2], "materialized_path": f"/{path}", "size": len(content),
            "date_modified": "2024-01-02T00:00:00.000000Z", "provider": "osfstorage",
            "extra": {"hashes": {"md5": md5(content), "sha256": sha256(content)}},
        }  # fmt: skip
        return {"id": "2", "attributes": attributes, "links": {"download": f"{origin}/v1/resources/{quote(path)}"}}
