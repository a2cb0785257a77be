"""Open data portals: `data.json`, DCAT in JSON-LD page by page, and landing pages in schema.org's words."""

import json
from urllib.parse import quote

from tests.miniatures.miniature import Miniature, sha256

ROWS = 2  # datasets on a page


class Portal(Miniature):
    """Each folder of the copy is a dataset, and its files are downloads from another path of the portal."""

    def begin(self):
        return {"air-2024/hourly.csv": b"a,b\n1,2\n", "air-2024/notes.pdf": b"%PDF", "lakes/depth.nc": b"\x89HDF" * 400,
                "rivers/gone.csv": b"gone", "woods/trees.csv": b"oak\n"}  # fmt: skip

    def change(self):
        self.files |= {"air-2024/hourly.csv": b"a,b\n1,2\n3,4\n", "lakes/new depth.nc": b"new"}
        del self.files["rivers/gone.csv"]

    def datasets(self):
        return sorted({path.partition("/")[0] for path in self.files})

    def downloads(self, dataset):
        return sorted(path for path in self.files if path.startswith(f"{dataset}/"))

    def answer(self, path, query, origin):
        if path.startswith("/store/"):
            return self.files.get(path.removeprefix("/store/"))
        return self.described(path, query, origin)

    def described(self, path, query, origin):
        raise NotImplementedError


class DataJson(Portal):
    """DCAT-US 1.1: one document, sizes and checksums unknown, and a service beside the files."""

    reader = "dcat"

    def described(self, path, query, origin):
        if path != "/data.json":
            return None
        kinds = {"csv": "text/csv", "pdf": "application/pdf", "nc": "application/x-netcdf"}
        listed = [
            {
                "@type": "dcat:Dataset", "identifier": name, "title": f"About {name}",
                "distribution": [
                    *({"@type": "dcat:Distribution", "downloadURL": f"{origin}/store/{quote(file)}",
                       "mediaType": kinds[file.rpartition(".")[2]]} for file in self.downloads(name)),
                    {"@type": "dcat:Distribution", "accessURL": f"{origin}/wms", "format": "WMS"},
                ],
            }
            for name in self.datasets()
        ]  # fmt: skip
        return {
            "conformsTo": "https://project-open-data.cio.gov/v1.1/schema",
            "@type": "dcat:Catalog",
            "dataset": listed,
        }


class DcatPages(Portal):
    """DCAT in a flat graph: distributions are nodes of their own, with checksums; pages are linked by Hydra."""

    reader = "dcat"
    keys = "catalogue: catalog.jsonld"

    def described(self, path, query, origin):
        if path != "/catalog.jsonld":
            return None
        page, names = int(query.get("page", "1")), self.datasets()
        graph = []
        for name in names[(page - 1) * ROWS : page * ROWS]:
            ids = [f"{origin}/distribution/{quote(file)}" for file in self.downloads(name)]
            graph.append(
                {"@id": f"_:{name}", "@type": "dcat:Dataset", "dct:identifier": name,
                 "dct:title": {"@language": "en", "@value": name}, "dcat:distribution": [{"@id": one} for one in ids]}
            )  # fmt: skip
            for key, file in zip(ids, self.downloads(name), strict=True):
                checksum = {
                    "spdx:algorithm": {"@id": "http://spdx.org/rdf/terms#checksumAlgorithm_sha256"},
                    "spdx:checksumValue": {"@value": sha256(self.files[file]), "@type": "xsd:hexBinary"},
                }
                graph.append(
                    {"@id": key, "@type": "dcat:Distribution", "dcat:byteSize": "1000",
                     "dcat:downloadURL": {"@id": f"{origin}/store/{quote(file)}"}, "spdx:checksum": checksum}
                )  # fmt: skip
        more = {"hydra:next": {"@id": f"{origin}/catalog.jsonld?page={page + 1}"}} if page * ROWS < len(names) else {}
        view = {"@id": f"{origin}/catalog.jsonld?page={page}", "@type": "hydra:PartialCollectionView", **more}
        total = {"@id": f"{origin}/catalog.jsonld", "@type": "hydra:Collection", "hydra:totalItems": len(names)}
        return {"@context": {"dcat": "http://www.w3.org/ns/dcat#"}, "@graph": [*graph, view, total]}


class LandingPages(Portal):
    """Pages that a sitemap names, each with its dataset in a script."""

    reader = "schema-org"
    keys = 'sitemap: sitemap.xml, match: ["*/dataset/*"]'

    def described(self, path, query, origin):
        if path == "/sitemap.xml":
            pages = [f"{origin}/about", *(f"{origin}/dataset/{name}" for name in self.datasets())]
            body = "".join(f"<url><loc>{page}</loc></url>" for page in pages)
            return f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{body}</urlset>'
        name = path.removeprefix("/dataset/")
        if name not in self.datasets():
            return None
        files = [
            {"@type": "DataDownload", "contentUrl": f"/store/{quote(file)}", "sha256": sha256(self.files[file]),
             "contentSize": f"{len(self.files[file])} bytes"}
            for file in self.downloads(name)
        ]  # fmt: skip
        told = {"@context": "https://schema.org/", "@type": "Dataset", "identifier": name, "distribution": files}
        script = f'<script type="application/ld+json">{json.dumps(told)}</script>'
        return f"<!doctype html><html><head><title>{name}</title>{script}</head><body>…</body></html>"
