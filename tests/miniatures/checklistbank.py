"""ChecklistBank: monthly and annual releases of the Catalogue of Life, exports that redirect to their job's file."""

import io
import zipfile

from aiohttp import web

from tests.miniatures.miniature import Miniature, md5


def coldp(title):
    """A ColDP archive, the same bytes for the same title."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, text in (
            ("metadata.yaml", f"title: {title}\n"),
            ("NameUsage.tsv", f"ID\tscientificName\n1\t{title}\n"),
        ):
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), text)
    return body.getvalue()


class ChecklistBank(Miniature):
    """`releases` maps a key to an alias; the latest is the last one. `wanted` is what the manifest says of releases."""

    reader = "checklistbank"

    def __init__(self, releases=None, wanted="latest"):
        self.releases = dict(releases or {9900: "COL23", 9910: "COL23.9"})
        self.wanted = wanted
        self.keys = f"releases: {wanted}"
        super().__init__({})

    def change(self):
        self.releases |= {9920: "COL24"}

    def copy(self):
        if self.wanted == "latest":
            return {"latest/coldp.zip": coldp(list(self.releases.values())[-1])}
        return {f"{alias}/coldp.zip": coldp(alias) for alias in self.releases.values() if "." not in alias}

    def dataset(self, key):
        return {
            "key": key,
            "alias": self.releases[key],
            "origin": "release",
            "sourceKey": 3,
            "license": "cc by",
            "attempt": 1,
        }

    def answer(self, path, query, origin):
        part = path.strip("/").split("/")
        if path == "/dataset/3LR":
            return self.dataset(list(self.releases)[-1])
        if path == "/dataset":
            rows = [self.dataset(key) for key in self.releases if query["origin"] == "release"]
            return {"offset": 0, "limit": 1000, "total": len(rows), "result": rows, "last": True}
        if path == "/export":
            key = int(query["datasetKey"])
            body = coldp(self.releases[key])
            job = {"key": f"job{key}", "datasetKey": key, "status": "finished", "finished": "2024-01-01T00:00:00"}
            job |= {"request": {"format": query["format"], "extended": True}, "size": len(body), "md5": md5(body)}
            return {"offset": 0, "limit": 100, "total": 1, "result": [job]}
        if part[0] == "dataset" and part[-1] == "export.zip" and query["format"] == "COLDP":
            raise web.HTTPFound(f"{origin}/job/jo/job{part[1]}.zip")
        if part[0] == "job":
            return coldp(self.releases[int(part[-1][3:-4])])
        return None
