"""The upstream of every ready manifest, small: `UPSTREAMS` by the manifest's name, each with what a copy must hold.

What a manifest does not want lies there too, so that its globs and filters are proved.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from tests.miniatures.checklistbank import ChecklistBank, coldp
from tests.miniatures.cmr import Cmr
from tests.miniatures.dandi import Dandi
from tests.miniatures.esgf import Esgf as EsgfIndex
from tests.miniatures.gbif import DATASET, Gbif
from tests.miniatures.huggingface import HuggingFace
from tests.miniatures.laads import Laads
from tests.miniatures.metalink import Metalink
from tests.miniatures.miniature import Miniature, _response, sha256
from tests.miniatures.ncbi import DUMP, SUMMARY, Ncbi
from tests.miniatures.odata import Odata
from tests.miniatures.physionet import PhysioNet
from tests.miniatures.records import Kcdb
from tests.miniatures.stac import multihash
from tests.miniatures.table import EnaReport, GdcManifest, PmcList, SequenceIndex
from tests.miniatures.trees import Erddap
from tests.miniatures.zenodo import Zenodo

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


class Pages(Miniature):
    """Directory pages as Apache writes them; sizes are rounded."""

    def __init__(self, at, wanted, others=()):
        self.at, self.wanted = at, tuple(wanted)
        super().__init__({path: path.encode() * 200 for path in (*wanted, *others)})

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


def _landsat(level, *products):
    return [
        f"{product}/{product}_{file}"
        for product in products
        for file in (("B4.TIF", "MTL.json") if level == 1 else ("SR_B4.TIF", "ST_B10.TIF", "MTL.json"))
    ]


L1 = ("LC08_L1TP_123032_20260105_20260113_02_T1", "LC09_L1GT_123032_20260113_20260121_02_T2")
L2 = ("LC08_L2SP_123032_20260105_20260113_02_T1", "LC09_L2SR_123032_20260113_20260121_02_T2")
RT = "LC08_L1TP_123032_20260121_20260121_02_RT"
SR = ("LC09_L2SP_123032_20240506_20240507_02_T1_SR", "LC08_L2SP_123032_20240514_20240521_02_T1_SR")
S2 = ("S2B_T50TMK_20240506T025311_L2A", "S2A_T50TMK_20240511T025311_L2A")
NOW = datetime.now(UTC) - timedelta(days=2)

UPSTREAMS: dict[str, Any] = {
    "landsat-c2-l1": InBucket(
        "usgs-landsat", "collection02/level-1/standard/oli-tirs/2026/123/032/", _landsat(1, *L1),
        [f"{RT}/{RT}_B4.TIF", f"{L1[0]}/{L1[0]}_thumb_small.jpeg", f"{L1[0]}/{L1[0]}_thumb_large.jpeg"],
    ),
    "landsat-c2-l2": InBucket(
        "usgs-landsat", "collection02/level-2/standard/oli-tirs/2026/123/032/", _landsat(2, *L2), [f"{L2[0]}/{L2[0]}_thumb_small.jpeg"],
    ),
    "landsat-c2-l2-stac": Scenes(
        "/stac-server/", "landsat-c2l2-sr",
        {
            name: [("blue", f"{name}_B2.TIF", True), ("nir08", f"{name}_B5.TIF", True), ("qa_pixel", f"{name}_QA_PIXEL.TIF", True),
                   ("mtl.json", f"{name}_MTL.json", True), ("coastal", f"{name}_B1.TIF", False), ("thumbnail", f"{name}_thumb_small.jpeg", False)]
            for name in SR
        },
        "2024/{id}/{file}", bucket="usgs-landsat/collection02/level-2/standard/oli-tirs/2024/123/032/",
    ),
    "sentinel-2-l2a-cogs": Scenes(
        "/v1/", "sentinel-2-c1-l2a",
        {name: [("red", "B04.tif", True), ("scl", "SCL.tif", True), ("granule_metadata", "metadata.xml", True), ("aot", "AOT.tif", False)] for name in S2},
        "2024/05/{id}/{file}", asks={"query": {"eo:cloud_cover": {"lt": 20}}},
    ),
    "sentinel-1-grd": Copernicus(
        "SENTINEL-1", ["S1A_IW_GRDH_1SDV_1", "S1A_IW_GRDH_1SDV_2", "S1C_IW_GRDH_1SDV_3"], ["S1A_IW_SLC__1SDV_4", "S1A_EW_GRDM_1SDH_5"],
    ),
    "sentinel-2-l2a-products": Copernicus("SENTINEL-2", ["S2A_MSIL2A_1", "S2B_MSIL2A_2"], ["S2A_MSIL1C_3"]),
    "copernicus-dem-30": InBucket(
        "copernicus-dem-30m", "",
        ["tileList.txt", "readme.html", *(f"{tile}/{tile}.tif" for tile in ("Copernicus_DSM_COG_10_N39_00_E116_00_DEM", "Copernicus_DSM_COG_10_S01_00_W078_00_DEM"))],
        ["Copernicus_DSM_COG_10_N39_00_E116_00_DEM/AUXFILES/Copernicus_DSM_COG_10_N39_00_E116_00_EDM.tif", "index.html"],
    ),
    "modis-mod09ga": Archive(
        "/archive/allData/61/MOD09GA/",
        [f"2024/{day}/MOD09GA.A2024{day}.h26v0{v}.061.2024003.hdf" for day in ("001", "002") for v in (4, 5)],
        ["2024/001/MOD09GA.A2024001.h25v05.061.2024003.hdf"],
    ),
    "viirs-vnp46a2": Archive(
        "/archive/allData/5200/VNP46A2/",
        ["2024/001/VNP46A2.A2024001.h29v05.002.2024010.h5", "2025/003/VNP46A2.A2025003.h29v05.002.2025010.h5"],
        ["2024/001/VNP46A2.A2024001.h30v05.002.2024010.h5"],
    ),
    "lance-modis-nrt": Archive(
        "/archive/allData/61/MOD09/", [f"{NOW:%Y/%j}/MOD09.A{NOW:%Y%j}.0005.061.NRT.hdf", f"{NOW:%Y/%j}/MOD09.A{NOW:%Y%j}.0010.061.NRT.hdf"],
    ),
    "gpm-imerg": Granules(),
    "mur-sst": Sst(),
    "goes-19": InBucket(
        "noaa-goes19", "ABI-L2-CMIPF/2026/",
        [f"001/{hour}/OR_ABI-L2-CMIPF-M6C13_G19_s2026001{hour}00205_e2026001{hour}09519_c2026001{hour}09588.nc" for hour in ("00", "01", "02")],
        ["001/00/OR_ABI-L2-CMIPF-M6C01_G19_s20260010000205_e20260010009513_c20260010009581.nc"],
    ),
    "himawari-9": InBucket(
        "noaa-himawari9", "AHI-L1b-FLDK/2026/11/",
        [f"01/0000/HS_H09_20261101_0000_B13_FLDK_R20_S{n:02}10.DAT.bz2" for n in (1, 2, 10)],
        ["01/0000/HS_H09_20261101_0000_B03_FLDK_R05_S0110.DAT.bz2"],
    ),
    "gfs": InBucket(
        "noaa-gfs-bdp-pds", "",
        [f"gfs.20261101/00/atmos/gfs.t00z.pgrb2.0p25.{hour}{idx}" for hour in ("f000", "f099", "f119", "f120") for idx in ("", ".idx")],
        ["gfs.20261101/00/atmos/gfs.t00z.pgrb2.0p25.f121", "gfs.20261101/00/atmos/gfs.t00z.pgrb2.1p00.f000",
         "gfs.20261101/06/atmos/gfs.t06z.pgrb2.0p25.f000", "gfs.20251101/00/atmos/gfs.t00z.pgrb2.0p25.f000"],
    ),
    "nexrad-level2": InBucket(
        "unidata-nexrad-level2", "2026/11/",
        ["01/KTLX/KTLX20261101_000133_V06", "01/KTLX/KTLX20261101_000639_V06", "02/KTLX/KTLX20261102_000133_V06"],
        ["01/KTLX/KTLX20261101_000133_V06_MDM", "01/KABR/KABR20261101_000133_V06"],
    ),
    "ghcn-daily": InBucket(
        "noaa-ghcn-pds", "", ["csv/by_year/1763.csv", "csv/by_year/2026.csv", "ghcnd-stations.txt", "ghcnd-inventory.txt", "readme-by_year.txt"],
        ["csv.gz/2026.csv.gz", "csv/by_station/ACW00011604.csv", "parquet/by_year/YEAR=2026/x.parquet"],
    ),
    "era5-land": InBucket(
        "openmeteo", "data/copernicus_era5_land/", ["temperature_2m/year_1950.om", "temperature_2m/chunk_1001.om", "static/HSURF.om"], ["soil_temperature_0_to_7cm/year_1950.om"],
    ),
    "esgf-cmip6": Esgf(),
    "esgf-search": EsgfIndex(),
    "ndbc-buoys": Buoys(),
    "dandiset": Dandi("000003"),
    "pangaea-dataset": Pangaea(),
    "physionet-mitdb": PhysioNet(),
    "ptb-xl": PhysioNet("ptb-xl", "1.0.3"),
    "mimic-iv-demo": PhysioNet("mimic-iv-demo", "2.2"),
    "mimic-iv": PhysioNet("mimiciv", "3.1", credentialed=True),
    "catalogue-of-life": ChecklistBank(),
    "catalogue-of-life-annual": ChecklistBank(wanted="annual"),
    "gbif-backbone": Backbone(),
    "gbif-occurrences": InBucket(
        "gbif-open-data-eu-central-1", "occurrence/2026-11-01/", ["occurrence.parquet/000000", "occurrence.parquet/000001", "citation.txt"], ["index.html"],
    ),
    "ncbi-taxdump": Taxdump(),
    "refseq-viral": Viral(),
    "uniprot-sprot": SwissProt(),
    "ena-study": EnaReport(),
    "dwd-cdc": Pages(
        "/climate_environment/CDC/observations_germany/climate/daily/kl/recent/",
        ["KL_Tageswerte_Beschreibung_Stationen.txt", "DESCRIPTION_obsgermany_climate_daily_kl_recent_en.pdf"],
    ),
    "cas-gnss-bias": Pages("/pub/product/bias/", ["2026/CAS0OPSRAP_20263000000_01D_01D_DCB.BIA.gz", "readme.txt"]),
    "thousand-genomes": SequenceIndex(),
    "gdc-open": GdcManifest(),
    "pmc-oa": PmcList(),
    "pdb-mmcif": Pages(
        "/pub/pdb/data/structures/divided/mmCIF/", ["00/100d.cif.gz", "00/200d.cif.gz", "01/101d.cif.gz"], ["01/readme.txt"],
    ),
    "ena-run": Pages("/vol1/fastq/ERR000/ERR000589/", ["ERR000589_1.fastq.gz", "ERR000589_2.fastq.gz"], ["notes.txt"]),
    "sra-run": InBucket("sra-pub-run-odp", "sra/SRR000001/", ["SRR000001"]),
    "bipm-kcdb": Cards(),
    "fair-mast": InBucket("mast", "level2/shots/30420.zarr/", [".zgroup", ".zmetadata", "magnetics/b_field/0.0", "magnetics/b_field/.zarray"]),
    "zenodo-ror": Zenodo("6347574", {"v1.60-2026-10-30-ror-data.zip": coldp("ror")}),
    "librispeech": HuggingFace(),
}  # fmt: skip
