"""An index of the Earth System Grid Federation: a search in Solr's JSON, and a data node that serves the files."""

from urllib.parse import quote

from tests.miniatures.miniature import Miniature, sha256


class Esgf(Miniature):
    """Datasets of one model; each file is there by HTTP, OPeNDAP and GridFTP, and a replica of it elsewhere."""

    reader = "esgf"
    at = "/esg-search/"
    keys = "facets: {source_id: NorESM2-LM, variable_id: [tas, pr]}, page: 2"

    def begin(self):
        root = "CMIP6/CMIP/NCC/NorESM2-LM/historical/r1i1p1f1/Amon"
        return {
            f"{root}/tas/gn/v20190815/tas_1850-1859.nc": b"\x89HDF" * 300,
            f"{root}/tas/gn/v20190815/tas_1860-1869.nc": b"\x89HDF" * 310,
            f"{root}/pr/gn/v20190815/pr_1850-1859.nc": b"\x89HDF" * 200,
            f"{root}/pr/gn/v20190815/gone.nc": b"gone",
        }

    def change(self):
        (gone,) = (path for path in self.files if path.endswith("gone.nc"))
        (first,) = (path for path in self.files if path.endswith("pr_1850-1859.nc"))
        del self.files[gone]
        self.files |= {first: b"\x89HDF corrected", first.replace("1850-1859", "1860-1869"): b"\x89HDF new"}

    def answer(self, path, query, origin):
        if path.startswith("/thredds/fileServer/"):
            return self.files.get(path.removeprefix("/thredds/fileServer/"))
        if path != "/esg-search/search" or query.getall("variable_id") != ["tas", "pr"]:
            return None
        assert (query["replica"], query["latest"], query["type"]) == ("false", "true", "File")
        begin, names = int(query["offset"]), sorted(self.files)
        rows = [self.row(name, origin) for name in names[begin : begin + int(query["limit"])]]
        return {"responseHeader": {"status": 0}, "response": {"numFound": len(names), "start": begin, "docs": rows}}

    def row(self, path, origin):
        folder, _, name = path.rpartition("/")
        dataset = folder.replace("/", ".")
        place = f"{origin}/thredds/fileServer/{quote(path)}"
        return {
            "id": f"{dataset}.{name}|node.example", "dataset_id": f"{dataset}|node.example", "title": name,
            "size": len(self.files[path]), "checksum": [sha256(self.files[path])], "checksum_type": ["SHA256"],
            "timestamp": "2019-08-15T00:00:00Z",
            "url": [
                f"{place}|application/netcdf|HTTPServer",
                f"{place.replace('fileServer', 'dodsC')}.html|application/opendap-html|OPENDAP",
                f"gsiftp://node.example/{path}|application/gridftp|GridFTP",
            ],
        }  # fmt: skip
