"""STAC: an API that names its next page in one of the ways that servers have, or a catalogue of static files."""

import hashlib
import io
import json
from datetime import datetime
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from tests.miniatures.miniature import Miniature, _response, md5

COLLECTION = "landsat-c2l2-sr"
STYLES = ("merge", "body", "token", "get", "page")


def multihash(content):
    """As USGS publishes them: 13 40 and a sha2-512."""
    return "1340" + hashlib.sha512(content).hexdigest()


class Stac(Miniature):
    """`files` maps `<item>/<file>` to bytes; `style` is how the next page is named, or `static`."""

    reader = "stac"
    at = "/stac/"

    def __init__(self, style="merge", files=None, more=""):
        self.style = style
        self.bucket = "s3://usgs-landsat/"
        self.updated = "2024-05-01T10:00:00Z"
        self.searched = []
        self.keys = (
            "catalog: catalog.json, path: '{id}/{file}'"
            if style == "static"
            else f"collections: [{COLLECTION}], page: 2"
        )
        if style == "get":
            self.keys += ", method: GET"
        self.keys += more
        super().__init__(files)

    def begin(self):
        return {
            f"LC09_{n:03}/LC09_{n:03}_{band}": f"{n} {band}".encode() * (50 + n)
            for n in range(5)
            for band in ("B2.TIF", "B3.TIF", "MTL.json")
        }

    def change(self):
        self.updated = "2024-06-01T10:00:00Z"
        super().change()
        self.files["LC10_000/LC10_000_B2.TIF"] = b"a scene of a new satellite"
        self.files.pop("new LC09_000/LC09_000_B2.TIF", None)

    def items(self, origin):
        by_item = {}
        for path, content in sorted(self.files.items()):
            by_item.setdefault(path.partition("/")[0], []).append((path, content))
        return [self.item(origin, name, files) for name, files in by_item.items()]

    def item(self, origin, name, files):
        assets: dict[str, dict[str, Any]] = {
            "index": {"title": "HTML index page", "type": "text/html", "href": f"{origin}/landing/{name}"},
        }
        for path, content in files:
            file = path.rpartition("/")[2]
            key = file.removeprefix(f"{name}_").partition(".")[0].lower()
            assets[key] = {
                "type": "application/json"
                if file.endswith(".json")
                else "image/vnd.stac.geotiff; cloud-optimized=true",
                "roles": ["metadata"] if file.endswith(".json") else ["data"],
                "href": f"{origin}/data/{path}" if self.style != "static" else f"../../data/{path}",
                "alternate": {
                    "s3": {
                        "storage:platform": "AWS",
                        "storage:requester_pays": True,
                        "href": f"{self.bucket}{path}",
                    }
                },
                "file:checksum": multihash(content),
            }
        return {
            "type": "Feature",
            "stac_version": "1.0.0",
            "stac_extensions": ["https://stac-extensions.github.io/file/v1.0.0/schema.json"],
            "id": name,
            "collection": COLLECTION,
            "bbox": [10.0, 50.0, 12.0, 52.0],
            "geometry": None,
            "properties": {"datetime": "2024-04-30T10:24:35Z", "updated": self.updated},
            "links": [{"rel": "self", "href": f"{origin}/stac/collections/{COLLECTION}/items/{name}"}],
            "assets": assets,
        }

    async def _serve(self, request):
        self.asked.append(request)
        origin = str(request.url.origin())
        if request.path == "/stac/search" and self.style != "static":
            body = json.loads(await request.read()) if request.method == "POST" else dict(request.query)
            self.searched.append((request.method, body))
            return _response(self.search(origin, request, body))
        return _response(self.answer(request.path, request.query, origin))

    def search(self, origin, request, body):
        assert (request.method == "GET") == (self.style == "get")
        items, limit = self.items(origin), int(body["limit"])
        start = int(str(body.get("token", body.get("next", 0))).removeprefix("next:"))
        if self.style == "page":
            start = (int(body.get("page", 1)) - 1) * limit
        page = {
            "type": "FeatureCollection",
            "features": items[start : start + limit],
            "numberMatched": len(items),
            "numberReturned": len(items[start : start + limit]),
            "links": [{"rel": "root", "href": f"{origin}/stac/"}],
        }
        here, after = f"{origin}/stac/search", str(start + limit)
        if start + limit < len(items):
            style: dict[str, dict[str, Any]] = {
                "merge": {"method": "POST", "href": here, "merge": True, "body": {"next": after}},
                "body": {"method": "POST", "href": here, "merge": False, "body": {**body, "next": after}},
                "token": {"method": "POST", "href": here, "body": {**body, "token": f"next:{after}"}},
                "get": {"href": f"/stac/search?collections={COLLECTION}&limit={limit}&token=next:{after}"},
            }
            if self.style in style:
                page["links"].append({"rel": "next", "type": "application/geo+json", **style[self.style]})
        if self.style == "page":
            page["context"] = {"page": start // limit + 1, "limit": limit, "matched": len(items), "returned": 2}
        return page

    def answer(self, path, query, origin):
        if path.startswith("/data/"):
            return self.files.get(path.removeprefix("/data/"))
        if self.style == "static" and path.startswith("/stac/"):
            return self.static(origin, path.removeprefix("/stac/"))
        return None

    def static(self, origin, path):
        items = {item["id"]: item for item in self.items(origin)}
        links = [{"rel": "root", "href": "/stac/catalog.json"}]
        head = {"stac_version": "1.0.0", "description": "", "links": links}
        if path == "catalog.json":
            links.append({"rel": "child", "href": f"./{COLLECTION}/collection.json"})
            links.append({"rel": "child", "href": "https://elsewhere.example/catalog.json"})
            return {"type": "Catalog", "id": "root", **head}
        if path == f"{COLLECTION}/collection.json":
            links += [{"rel": "parent", "href": "../catalog.json"}]
            links += [{"rel": "item", "href": f"./{name}.json"} for name in items]
            return {"type": "Collection", "id": COLLECTION, "license": "proprietary", **head}
        return items.get(path.rpartition("/")[2].removesuffix(".json"))


class PlanetaryStac(Stac):
    """Publishes bare MD5s where the extension wants multihashes."""

    def item(self, origin, name, files):
        item = super().item(origin, name, files)
        for path, content in files:
            for asset in item["assets"].values():
                if asset["href"].endswith(path):
                    asset["file:checksum"] = md5(content)
        return item


class StacTable(Stac):
    """The same items as rows of one GeoParquet table."""

    reader = "stac-geoparquet"

    def __init__(self, files=None):
        super().__init__("table", files)
        self.keys = f"collections: [{COLLECTION}]"

    def answer(self, path, query, origin):
        if path == f"{self.at}items.parquet":
            return self.table(origin)
        return super().answer(path, query, origin)

    def table(self, origin):
        rows = []
        for item in self.items(origin):
            properties = {
                name: datetime.fromisoformat(value) if name in {"datetime", "updated"} else value
                for name, value in item["properties"].items()
            }
            west, south, east, north = item["bbox"]
            box = {"xmin": west, "ymin": south, "xmax": east, "ymax": north}
            kept = {name: item[name] for name in ("id", "collection", "assets")}
            rows.append({**kept, "bbox": box, **properties})
        out = io.BytesIO()
        parquet.write_table(pa.Table.from_pylist(rows), out)
        return out.getvalue()
