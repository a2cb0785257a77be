"""Zenodo: a record with its newest version behind a redirect, and headers as the real one sends them."""

from urllib.parse import quote

from aiohttp import web

from tests.miniatures.miniature import Miniature, md5


class Zenodo(Miniature):
    """One record, of which each change makes a new version."""

    reader = "zenodo"

    def __init__(self, record="4288857", files=None):
        self.record = record
        self.keys = f'records: ["{record}"], versions: latest'
        self.newest = int(record)
        super().__init__(files)

    def change(self):
        super().change()
        self.newest += 1

    def answer(self, path, query, origin):
        api = f"{origin}/api/records"
        part = path.strip("/").split("/", 3)
        if path == f"/api/records/{self.record}/versions/latest":
            raise web.HTTPMovedPermanently(f"{api}/{self.newest}")
        if len(part) == 3 and part[2] in (self.record, str(self.newest)):
            files = [
                {
                    "id": "8f", "key": key, "size": len(content), "checksum": f"md5:{md5(content)}",
                    "links": {"self": f"{api}/{part[2]}/files/{quote(key)}/content"},
                }
                for key, content in self.files.items()
            ]  # fmt: skip
            links = {"self": f"{api}/{part[2]}", "latest": f"{api}/{self.record}/versions/latest"}
            return {"id": int(part[2]), "conceptrecid": "4288856", "revision": 3, "files": files, "links": links}
        if len(part) == 4 and part[3].startswith("files/") and part[3].endswith("/content"):
            content = self.files.get(part[3][len("files/") : -len("/content")])
            if content is None:
                return None
            digest = md5(content)  # hex, where RFC 1864 wants base64
            headers = {
                "Content-MD5": digest,
                "ETag": f'"md5:{digest}"',
                "OC-Checksum": f"MD5:{digest}",
                "Retry-After": "60",
            }
            return web.Response(body=content, headers=headers)
        return None
