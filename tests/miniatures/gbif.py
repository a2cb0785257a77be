"""GBIF's registry, the server of a dataset's archive, and an occurrence download; archives have no digest anywhere."""

from email.utils import formatdate

from aiohttp import web

from tests.miniatures.checklistbank import coldp
from tests.miniatures.miniature import Miniature

DATASET = "d7dddbf4-2cf0-4f39-9b2a-bb099caae36c"
DOWNLOAD = "0040513-240906103802322"


class Gbif(Miniature):
    """One dataset and one download. `broken` serves the download cut off, as it was once stored."""

    reader = "gbif"
    at = "/v1/"
    keys = f"datasets: [{DATASET}], downloads: [{DOWNLOAD}]"

    def __init__(self, *, broken=False):
        self.broken = broken
        self.changed = 1_700_000_000
        super().__init__({f"{DATASET}/dwca.zip": coldp("backbone"), f"{DOWNLOAD}.zip": coldp("occurrences")})

    def change(self):
        self.files[f"{DATASET}/dwca.zip"] = coldp("backbone, one taxon more")
        self.changed += 86_400

    def answer(self, path, query, origin):
        if path == f"/v1/dataset/{DATASET}":
            endpoint = {"key": 1, "type": "DWC_ARCHIVE", "url": f"{origin}/ipt/archive.do?r=backbone"}
            return {
                "key": DATASET,
                "type": "CHECKLIST",
                "modified": "2024-01-01T00:00:00.000+00:00",
                "endpoints": [endpoint],
            }
        if path == "/ipt/archive.do":  # an IPT has dates and no ETag
            headers = {"Last-Modified": formatdate(self.changed, usegmt=True), "Content-Type": "application/zip"}
            return web.Response(body=self.files[f"{DATASET}/dwca.zip"], headers=headers)
        body = self.files[f"{DOWNLOAD}.zip"]
        body = body[: len(body) // 2] if self.broken else body
        if path == f"/v1/occurrence/download/{DOWNLOAD}":
            link = f"{origin}/v1/occurrence/download/request/{DOWNLOAD}.zip"
            return {"key": DOWNLOAD, "status": "SUCCEEDED", "downloadLink": link, "size": len(body), "totalRecords": 0}
        if path == f"/v1/occurrence/download/request/{DOWNLOAD}.zip":
            raise web.HTTPFound(f"{origin}/occurrence-download/{DOWNLOAD}.zip")
        return body if path == f"/occurrence-download/{DOWNLOAD}.zip" else None


class Ipt(Miniature):
    """An IPT: an inventory of all its datasets, and their archives."""

    reader = "gbif"
    at = "/ipt/"
    keys = "ipt: inventory"

    def __init__(self):
        self.versions = {"birds": 1, "fish": 1}
        super().__init__({})

    def change(self):
        self.versions = {"birds": 2, "moths": 1}

    def copy(self):
        return {f"{name}/dwca.zip": coldp(f"{name} {version}") for name, version in self.versions.items()}

    def answer(self, path, query, origin):
        if path == "/ipt/inventory/dataset":
            return {
                "registeredResources": [
                    {
                        "title": name.title(), "records": 3, "lastPublished": "2013-06-25", "version": f"1.{version}",
                        "eml": f"{origin}/ipt/eml.do?r={name}", "dwca": f"{origin}/ipt/archive.do?r={name}",
                    }
                    for name, version in self.versions.items()
                ]
            }  # fmt: skip
        return self.copy().get(f"{query['r']}/dwca.zip") if path == "/ipt/archive.do" else None
