"""Upstreams that have more than their ready manifest wants, so that its globs and filters are proved."""

import json
import os
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from tests.miniatures.cmr import Cmr
from tests.miniatures.gbif import DATASET, Gbif
from tests.miniatures.laads import Laads
from tests.miniatures.metalink import Metalink
from tests.miniatures.miniature import Miniature, _response, sha256
from tests.miniatures.ncbi import DUMP, SUMMARY, Ncbi
from tests.miniatures.odata import Odata
from tests.miniatures.records import Kcdb
from tests.miniatures.stac import multihash
from tests.miniatures.trees import Erddap
from tests.miniatures.zarr import Zarr

TOKEN = "token-of-a-reader"
PAID = ("usgs-landsat",)


class InBucket:
    """Objects of a bucket below a prefix: those that are wanted, and others."""

    def __init__(self, bucket, prefix, wanted, others=()):
        self.bucket, self.prefix = bucket, prefix
        self.wanted = {path: f"{bucket} {prefix}{path}\n".encode() * 9 for path in wanted}
        self.others = dict.fromkeys(others, b"not wanted")

    def fill(self, server):
        for path, content in (self.wanted | self.others).items():
            server.put(self.bucket, self.prefix + path, content)
        server.put(self.bucket, "elsewhere/not below the prefix.txt" if self.prefix else "elsewhere/x.bin", b"no")

    def copy(self):
        return self.wanted


class InFolder:
    """Files of an FTP or SFTP server, at the path of the manifest's url: those that are wanted, and others."""

    def __init__(self, scheme, at, wanted, others=()):
        self.scheme, self.at = scheme, at
        self.wanted = {path: f"{scheme} {path}\n".encode() * 9 for path in wanted}
        self.others = dict.fromkeys(others, b"not wanted")

    def fill_folder(self, root):
        """Write them below `root`, a while ago: what is new waits until it is settled."""
        for path, content in (self.wanted | self.others).items():
            file = root / self.at.strip("/") / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            os.utime(file, (1_700_000_000, 1_700_000_000))

    def copy(self):
        return self.wanted


class Bearer:
    """Files are given to who has the token, listings to everybody."""

    asked: list[web.Request]
    closed = ""  # the beginning of a file's path

    def answer(self, path, query, origin):
        if self.is_file(path) and self.asked[-1].headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        return super().answer(path, query, origin)  # type: ignore[misc]  # of the miniature that it is mixed into

    def is_file(self, path):
        return path.startswith(self.closed)


class Archive(Bearer, Laads):
    """LAADS or LANCE; `others` are files that the manifest does not want."""

    def __init__(self, at, wanted, others=()):
        self.at, self.wanted = at, tuple(wanted)
        super().__init__("json", {path: path.encode() * 20 for path in (*wanted, *others)})

    def is_file(self, path):
        return path.endswith((".hdf", ".h5"))

    def copy(self):
        return {path: self.files[path] for path in self.wanted}


class Granules(Bearer, Cmr):
    """A collection by its short name; its granules have neither names nor digests."""

    closed = "/protected/"

    def begin(self):
        return {
            f"2024/05/0{n}/3B-HHR.MS.MRG.3IMERG.2024050{n}-S000000-E002959.0000.V07B.HDF5": b"rain" * n
            for n in (1, 2, 3)
        }

    def is_of(self, query):
        return query["provider"] == "GES_DISC"

    def is_wanted(self, query):
        named = {name: query[name] for name in ("short_name", "version", "provider")}
        assert query["temporal[]"].startswith("2024-01-01")
        return named == {"short_name": "GPM_3IMERGHH", "version": "07", "provider": "GES_DISC"}

    def granule(self, origin, path, number):
        found = super().granule(origin, path, number)
        rounded = {"Name": "Not provided", "Size": 6.69670295715332, "SizeUnit": "MB"}
        found["umm"]["DataGranule"]["ArchiveAndDistributionInformation"] = [rounded]
        return found


class Sst(Bearer, Cmr):
    """A collection by its concept id, with MD5s and exact sizes."""

    closed = "/protected/"


class Copernicus(Bearer, Odata):
    """The catalogue and the downloads of the Copernicus Data Space; a filter on names is obeyed."""

    def __init__(self, collection, wanted, others):
        self.collection, self.wanted = collection, tuple(wanted)
        day = (datetime.now(UTC) - timedelta(days=3)).strftime("%Y/%m/%d")
        self.day = day
        super().__init__({f"{day}/{name}.SAFE.zip": name.encode() * 99 for name in (*wanted, *others)})

    def is_file(self, path):
        return path.endswith("/$value")

    def copy(self):
        return {
            path: body
            for path, body in self.files.items()
            if path.startswith(tuple(f"{self.day}/{n}" for n in self.wanted))
        }

    def answer(self, path, query, origin):
        if path.startswith("/odata/v1/Products("):
            path = path.replace("/odata/v1/", "/download/")
        return super().answer(path, query, origin)

    def listed(self, path, query, origin):
        words = query["$filter"]
        if path.endswith("DeletedProducts"):
            return super().listed(path, query, origin)
        assert "OData.CSC.Intersects(area=geography'SRID=4326;" in words
        assert "ContentDate/Start" in words
        (part,) = re.findall(r"contains\(Name,'([^']+)'\)", words)
        everything, self.files = self.files, {path: body for path, body in self.files.items() if part in path}
        try:
            return super().listed(path, query, origin)
        finally:
            self.files = everything


class Scenes(Miniature):
    """A STAC API: `scenes` maps an item's id to its assets, each a key, a file's name, and whether it is wanted."""

    def __init__(self, at, collection, scenes, place, *, bucket=None, asks=()):
        self.at, self.collection, self.scenes, self.place = at, collection, scenes, place
        self.bucket = bucket
        self.asks = dict(asks)
        super().__init__(
            {
                f"{name}/{file}": f"{name} {file}".encode() * 30
                for name, assets in scenes.items()
                for _, file, _ in assets
            }
        )

    def copy(self):
        return {
            self.place.format(id=name, file=file): self.files[f"{name}/{file}"]
            for name, assets in self.scenes.items()
            for _, file, wanted in assets
            if wanted
        }

    def fill(self, server):
        if self.bucket is not None:
            for path, content in self.files.items():
                server.put(*f"{self.bucket}{path}".split("/", 1), content)

    async def _serve(self, request):
        self.asked.append(request)
        if request.path == f"{self.at}search":
            body = await request.json()
            assert body["collections"] == [self.collection]
            assert body["bbox"] == [115.4, 39.4, 117.5, 41.1]
            assert body["datetime"].startswith("2024-01-01T00:00:00Z/")
            assert {key: body[key] for key in self.asks} == self.asks
            return _response(self.search(str(request.url.origin()), body))
        # what lies in a bucket is not to be asked for here
        return _response(self.files.get(request.path.removeprefix("/data/")) if self.bucket is None else None)

    def search(self, origin, body):
        names = sorted(self.scenes)
        start = int(body.get("next", 0))
        links: list[dict[str, Any]] = [{"rel": "root", "href": f"{origin}{self.at}"}]
        if start + 1 < len(names):  # an item a page, as Earth Search goes on
            following = {**body, "next": str(start + 1)}
            links.append(
                {"rel": "next", "method": "POST", "href": f"{origin}{self.at}search", "merge": False, "body": following}
            )
        return {
            "type": "FeatureCollection",
            "features": [self.feature(origin, names[start])],
            "links": links,
            "numberMatched": len(names),
            "numberReturned": 1,
        }

    def feature(self, origin, name):
        assets = {"index": {"type": "text/html", "href": f"{origin}/landing/{name}"}}
        for key, file, _ in self.scenes[name]:
            asset = {
                "type": "image/tiff",
                "href": f"{origin}/data/{name}/{file}",
                "file:checksum": multihash(self.files[f"{name}/{file}"]),
            }
            if self.bucket is not None:
                asset["alternate"] = {
                    "s3": {"storage:requester_pays": True, "href": f"s3://{self.bucket}{name}/{file}"}
                }
            assets[key] = asset
        return {
            "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": self.collection, "geometry": None, "links": [],
            "properties": {"datetime": "2024-05-06T02:53:11Z", "updated": "2024-05-20T10:00:00Z"}, "assets": assets,
        }  # fmt: skip


class Esgf(Miniature):
    """A node's catalog of one dataset, with the SHA-256 of its files."""

    root = "esg_dataroot/cmor/CMIP6/CMIP/NCC/NorESM2-LM/historical/r1i1p1f1/Amon/tas/gn/v20190815/"
    catalog = "/thredds/catalog/esgcet/1/CMIP6.CMIP.NCC.NorESM2-LM.historical.r1i1p1f1.Amon.tas.gn.v20190815.xml"

    def begin(self):
        return {
            f"{self.root}tas_Amon_NorESM2-LM_historical_r1i1p1f1_gn_{years}.nc": years.encode() * 99
            for years in ("195001-195912", "196001-196912")
        }

    def answer(self, path, query, origin):
        if path != self.catalog:
            return self.files.get(path.removeprefix("/thredds/fileServer/"))
        rows = "".join(
            f'<dataset name="{file.rpartition("/")[2]}" urlPath="{file}" serviceName="fileservice">'
            f'<property name="size" value="{len(body)}"/><property name="checksum" value="{sha256(body)}"/>'
            '<property name="checksum_type" value="SHA256"/><dataSize units="bytes">1</dataSize></dataset>'
            for file, body in self.files.items()
        ).replace('<dataSize units="bytes">1</dataSize>', "")
        text = (
            '<catalog xmlns="http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0">'
            '<service name="fileservice" serviceType="HTTPServer" base="/thredds/fileServer/"/>'
            f'<dataset name="tas"><property name="dataset_id" value="CMIP6"/>{rows}</dataset></catalog>'
        )
        return web.Response(body=text.encode(), content_type="application/xml")


class Buoys(Erddap):
    """Files of one dataset; notes beside them are not wanted."""

    def begin(self):
        return {"NDBC_41001_met.nc": b"CDF" * 300, "NDBC_41002_met.nc": b"CDF" * 400, "readme.txt": b"not wanted"}

    def copy(self):
        return {path: body for path, body in self.files.items() if path.endswith(".nc")}

    def answer(self, path, query, origin):
        found = super().answer(path.replace("/files/cwwcNDBCMet/", "/files/buoys/"), query, origin)
        if path.endswith("allDatasets.csv"):
            text = found.text if isinstance(found, web.Response) else str(found)
            return text.replace("buoys", "cwwcNDBCMet")
        return found


def _like(path):
    """Bytes that a file of that name may have: an archive that is cut is noticed."""
    return b"PK\x05\x06" + bytes(18) if path.endswith(".zip") else path.encode() * 200


class Pages(Miniature):
    """Directory pages as Apache writes them; sizes are rounded."""

    def __init__(self, at, wanted, others=()):
        self.at, self.wanted = at, tuple(wanted)
        super().__init__({path: _like(path) for path in (*wanted, *others)})

    def copy(self):
        return {path: self.files[path] for path in self.wanted}

    def answer(self, path, query, origin):
        if not path.startswith(self.at):
            return None
        path = path.removeprefix(self.at)
        if path in self.files:
            return self.files[path]
        inside = sorted(
            {
                file.removeprefix(path).split("/")[0] + ("/" if "/" in file.removeprefix(path) else "")
                for file in self.files
                if file.startswith(path)
            }
        )
        if not inside or (path and not path.endswith("/")):
            return None
        rows = "".join(
            f'<tr><td valign="top"><img src="/icons/unknown.gif" alt="[   ]"></td><td><a href="{name}">{name}</a></td>'
            f'<td align="right">2026-11-02 01:20  </td><td align="right">{"  - " if name.endswith("/") else "2.3K"}</td><td>&nbsp;</td></tr>\n'
            for name in inside
        )
        title = f"Index of {self.at}{path}".rstrip("/")
        page = f'<html><head><title>{title}</title></head><body><h1>{title}</h1><table><tr><th><a href="?C=N;O=D">Name</a></th></tr>{rows}</table></body></html>'
        return web.Response(text=page, content_type="text/html")


class Backbone(Gbif):
    """One dataset alone lies at the top."""

    def copy(self):
        return {"dwca.zip": self.files[f"{DATASET}/dwca.zip"]}


class Taxdump(Ncbi):
    """The dump and its sidecar."""

    def copy(self):
        return {path: body for path, body in super().copy().items() if path.startswith(DUMP)}


class Viral(Ncbi):
    """Genomes of the assemblies that are the latest, and none of the other files."""

    def listed(self, accession):
        stem = f"{self.folder(accession)}/{accession}_ViralProj"
        return super().listed(accession) | {
            f"{stem}_genomic.gff.gz": b"gff",
            f"{stem}_cds_from_genomic.fna.gz": b"not wanted",
        }

    def copy(self):
        found = {SUMMARY: self.summary()}
        for accession in [one for one, status in self.assemblies.items() if status == "latest"]:
            stem = f"{self.folder(accession)}/{accession}_ViralProj"
            files = self.listed(accession)
            found |= {path: files[path] for path in (f"{stem}_genomic.fna.gz", f"{stem}_genomic.gff.gz")}
            found[f"{self.folder(accession)}/md5checksums.txt"] = self.sums(accession)
        return found

    def answer(self, path, query, origin):
        every = dict(self.copy())
        for accession in self.assemblies:
            every |= self.listed(accession)
        return every.get(path.removeprefix("/"))


class SwissProt(Metalink):
    """Files beside the list, TrEMBL among them; the mirrors that the list names are behind."""

    wanted = ("uniprot_sprot.fasta.gz", "uniprot_sprot.dat.gz", "reldate.txt", "LICENSE")

    def begin(self):
        return {name: name.encode() * 50 for name in (*self.wanted, "uniprot_trembl.dat.gz")}

    def copy(self):
        return {path: body for path, body in super().copy().items() if path != "uniprot_trembl.dat.gz"}

    def answer(self, path, query, origin):
        if path.startswith("/mirror/"):
            return b"the last release"
        return self.files.get(path.removeprefix(self.at)) or super().answer(path, query, origin)


class Pangaea(Miniature):
    """A landing page whose downloads are the same address with a query."""

    at = "/10.1594/PANGAEA.820322"

    def begin(self):
        return {"PANGAEA.820322.tsv": b"depth\ttemperature\n", "PANGAEA.820322.zip": b"PK\x05\x06" + bytes(18)}

    def answer(self, path, query, origin):
        if path != self.at:
            return None
        if query.get("format"):
            return self.files[f"PANGAEA.820322.{query['format']}"]
        kinds = {"tsv": "text/tab-separated-values", "zip": "application/zip"}
        files = [
            {"@type": "DataDownload", "encodingFormat": kind, "contentUrl": f"{origin}{path}?format={name}"}
            for name, kind in kinds.items()
        ]
        told = {"@context": "https://schema.org/", "@type": "Dataset", "distribution": files}
        script = f'<script type="application/ld+json">{json.dumps(told)}</script>'
        page = f"<html><head>{script}</head><body>…</body></html>"
        return web.Response(text=page, content_type="text/html")


class Cards(Kcdb):
    """All three searches, of any area."""

    area = None


class Shot(Zarr):
    """A Zarr store of which one group is wanted; the metadata is that of the whole."""

    at = "/mast/level2/shots/30420.zarr/"

    def begin(self):
        return {"magnetics/b_field/0.0": b"b" * 90, "magnetics/time/0": b"t" * 40, "thomson/t_e/0": b"not wanted"}

    def nodes(self):
        field = {"zarr_format": 2, "shape": [3, 4], "chunks": [2, 2]}
        series = {"zarr_format": 2, "shape": [4], "chunks": [4]}
        return {
            ".zgroup": {"zarr_format": 2},
            "magnetics/.zgroup": {"zarr_format": 2},
            "magnetics/b_field/.zarray": field,
            "magnetics/time/.zarray": series,
            "thomson/.zgroup": {"zarr_format": 2},
            "thomson/t_e/.zarray": series,
        }

    def copy(self):
        return {path: body for path, body in super().copy().items() if not path.startswith("thomson/t_e/")}

    def answer(self, path, query, origin):
        return super().copy().get(path.removeprefix(self.at))
