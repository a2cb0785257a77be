"""NASA's repository of granules: pages that go on by a header, digests under many names, what was deleted, downloads."""

import hashlib

from aiohttp import web

from tests.miniatures.miniature import Miniature, _response, md5, sha256

COLLECTION = "C1996881146-POCLOUD"
_SUMS = (("MD5", md5), ("SHA-256", sha256), ("SHA-512", lambda body: hashlib.sha512(body).hexdigest()))


class Cmr(Miniature):
    """`files` maps `2024/05/<day>/<name>` to bytes: a granule each. Removing one tells that something was deleted."""

    reader = "cmr"
    at = "/search/"
    keys = f"collections: [{COLLECTION}], page: 2"

    def __init__(self, files=None):
        self.deleted = []
        self.revisions = {}
        self.searched = []
        super().__init__(files)

    def begin(self):
        return {f"2024/05/{n:02}/2024050{n}090000-JPL-L4_GHRSST.nc": f"sea {n}".encode() * 100 for n in range(1, 6)}

    def change(self):
        before = dict(self.files)
        super().change()
        new = "2024/05/07/20240507090000-JPL-L4_GHRSST.nc"
        self.files = {path if not path.startswith("new ") else new: body for path, body in self.files.items()}
        self.deleted = [path for path in before if path not in self.files]
        for path, body in self.files.items():
            if before.get(path) != body:
                self.revisions[path] = "2024-06-01T00:00:00.000Z"

    async def _serve(self, request):
        self.asked.append(request)
        origin = str(request.url.origin())
        if request.path == "/search/granules.umm_json":
            return self.search(origin, request)
        if request.path == "/search/deleted-granules.json":
            assert self.is_of(request.query)
            return web.json_response(
                [{"granule-ur": path.rpartition("/")[2], "parent-collection-id": COLLECTION} for path in self.deleted]
            )
        return _response(self.answer(request.path, request.query, origin))

    def search(self, origin, request):
        assert self.is_wanted(request.query)
        size, start = int(request.query["page_size"]), int(request.headers.get("CMR-Search-After", 0))
        since = request.query.get("revision_date[]")
        paths = sorted(self.files) if since is None else sorted(self.revisions)
        self.searched.append((since is not None, start))
        page = paths[start : start + size]
        body = {"hits": len(paths), "took": 7, "items": [self.granule(origin, path, n) for n, path in enumerate(page)]}
        headers = {"CMR-Hits": str(len(paths))}
        if page:
            headers["CMR-Search-After"] = str(start + size)
        return web.json_response(body, headers=headers)

    def is_of(self, query):
        return query["parent_collection_id"] == COLLECTION

    def is_wanted(self, query):
        return query.getall("collection_concept_id[]") == [COLLECTION]

    def granule(self, origin, path, number):
        name, body = path.rpartition("/")[2], self.files[path]
        algorithm, of = _SUMS[number % len(_SUMS)]
        entry = {
            "Name": name if number else "Not provided",
            "Size": round(len(body) / 1e6, 2),
            "SizeUnit": "MB",
            "SizeInBytes": len(body),
        }
        entry["Checksum"] = {"Value": of(body), "Algorithm": algorithm}
        return {
            "meta": {"concept-type": "granule", "concept-id": f"G{number}-POCLOUD", "revision-id": 1, "native-id": name.removesuffix(".nc"),
                     "collection-concept-id": COLLECTION, "revision-date": self.revisions.get(path, "2024-05-20T00:00:00.000Z")},
            "umm": {
                "GranuleUR": name.removesuffix(".nc"),
                "CollectionReference": {"ShortName": "MUR-JPL-L4-GLOB-v4.1", "Version": "4.1"},
                "TemporalExtent": {"RangeDateTime": {"BeginningDateTime": path[:10].replace("/", "-") + "T09:00:00.000Z"}},
                "DataGranule": {"ArchiveAndDistributionInformation": [entry]},
                "RelatedUrls": [
                    {"URL": f"s3://podaac-ops-cumulus-protected/{name}", "Type": "GET DATA VIA DIRECT ACCESS"},
                    {"URL": f"{origin}/protected/{path}", "Type": "GET DATA"},
                    {"URL": f"{origin}/protected/{path}.md5", "Type": "EXTENDED METADATA"},
                    {"URL": f"{origin}/opendap/{name}.html", "Type": "USE SERVICE API", "Subtype": "OPENDAP DATA"},
                ],
            },
        }  # fmt: skip

    def answer(self, path, query, origin):
        return self.files.get(path.removeprefix("/protected/")) if path.startswith("/protected/") else None
