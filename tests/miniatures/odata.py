"""The catalogue of the Copernicus Data Space: filters and orders for pages, archives with two checksums, nodes, deletions."""

import re
from datetime import UTC, datetime
from urllib.parse import unquote

import blake3

from tests.miniatures.miniature import Miniature, md5

DATE = "2025-07-17T11:55:07.282635Z"  # the same for all at first: they were published together


class Odata(Miniature):
    """`files` maps `2024/04/<day>/<product>.zip` to bytes, or with `nodes` the files in products."""

    reader = "odata"
    at = "/odata/v1/"
    collection = "SENTINEL-2"

    def __init__(self, files=None, *, nodes=False, top=2):
        self.nodes = nodes
        self.published = {}
        self.deleted = {}
        self.filters = []
        self.keys = f"collections: [SENTINEL-2], page: {top}" + (", files: nodes" if nodes else "")
        super().__init__(files)

    def manifest(self, origin, name=None):
        return super().manifest(origin, name).replace("page:", f'download: "{origin}/download/", page:')

    def begin(self):
        if not self.nodes:
            return {f"2024/04/{n:02}/S2A_MSIL2A_{n}.SAFE.zip": f"product {n}".encode() * 200 for n in range(1, 8)}
        names = ("manifest.safe", "GRANULE/L2A/IMG_DATA/R10m/B02.jp2", "GRANULE/L2A/IMG_DATA/R20m/B02.jp2")
        return {
            f"2024/04/{n:02}/S2A_MSIL2A_{n}.SAFE/{name}": f"{n} {name}".encode() * 20 for n in (1, 2) for name in names
        }

    def change(self):
        before = dict(self.files)
        super().change()
        new = self.files.pop(next(path for path in self.files if path.startswith("new ")))
        self.files["2024/04/20/S2B_MSIL2A_20.SAFE" + ("/manifest.safe" if self.nodes else ".zip")] = new
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self.published = {self.product(path): now for path in self.files if before.get(path) != self.files[path]}
        gone = {self.product(path) for path in before} - {self.product(path) for path in self.files}
        self.deleted = dict.fromkeys(gone, now)

    def product(self, path):
        return path[: path.index(".SAFE") + 5]

    def row(self, product):
        day, _, name = product.rpartition("/")
        taken = f"{day.replace('/', '-')}T10:00:00.000Z"
        body = self.files.get(f"{product}.zip", b"")
        sums = [
            {"Value": md5(body), "Algorithm": "MD5", "ChecksumDate": DATE},
            {"Value": blake3.blake3(body).hexdigest(), "Algorithm": "BLAKE3"},
        ]
        when = self.published.get(product, DATE)
        return {
            "@odata.mediaContentType": "application/octet-stream", "Id": f"id-{name}".replace(".", "-").replace("_", "-"), "Name": name,
            "ContentLength": len(body), "PublicationDate": when, "ModificationDate": when, "Online": True, "EvictionDate": "",
            "DeletionDate": self.deleted.get(product, ""), "S3Path": f"/eodata/Sentinel-2/{day}/{name}",
            "Checksum": sums if body else [], "ContentDate": {"Start": taken, "End": taken}, "GeoFootprint": None,
        }  # fmt: skip

    def answer(self, path, query, origin):
        if path in ("/odata/v1/Products", "/odata/v1/DeletedProducts"):
            return self.listed(path, query, origin)
        if path.startswith("/download/Products("):
            return self.download(unquote(path).removeprefix("/download/"))
        return None

    def listed(self, path, query, origin):
        words, (by, _) = query["$filter"], query["$orderby"].split(" ")
        self.filters.append(words)
        assert f"Collection/Name eq '{self.collection}'" in words
        deleted = path.endswith("DeletedProducts")
        rows = [
            self.row(product) for product in (self.deleted if deleted else {self.product(path) for path in self.files})
        ]
        since = re.search(rf"{by} ge (\S+)", words)
        rows = sorted(
            (row for row in rows if since is None or row[by] >= since[1]), key=lambda row: (row[by], row["Id"])
        )
        top, skip = int(query["$top"]), int(query.get("$skip", 0))
        if skip > 10_000:
            return None
        page = {"@odata.context": "$metadata#Products", "value": rows[skip : skip + top]}
        if skip + top < len(rows):
            page["@odata.nextLink"] = f"{origin}/odata/v1/Products?$skip={skip + top}"
        return page

    def download(self, path):
        key, *nodes = re.findall(r"\(([^)]*)\)", path)
        product = next((p for p in {self.product(file) for file in self.files} if self.row(p)["Id"] == key), None)
        if product is None:
            return None
        if path.endswith("/$value"):
            return self.files.get("/".join([product, *nodes[1:]]) if nodes else f"{product}.zip")
        if not nodes:
            return {
                "result": [
                    {
                        "Id": product.rpartition("/")[2],
                        "Name": product.rpartition("/")[2],
                        "ContentLength": 0,
                        "ChildrenNumber": 2,
                    }
                ]
            }
        folder, inside = "/".join([product, *nodes[1:]]) + "/", {}
        for file, body in self.files.items():
            if file.startswith(folder):
                name, slash, _ = file.removeprefix(folder).partition("/")
                inside[name] = {
                    "Id": name,
                    "Name": name,
                    "ContentLength": 0 if slash else len(body),
                    "ChildrenNumber": 1 if slash else 0,
                }
        return {"result": list(inside.values())}
