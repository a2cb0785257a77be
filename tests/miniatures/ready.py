"""The upstream of every ready manifest, small: `UPSTREAMS` by the manifest's name, each with what a copy must hold."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.miniatures.checklistbank import ChecklistBank, coldp
from tests.miniatures.dandi import Dandi
from tests.miniatures.esgf import Esgf as EsgfIndex
from tests.miniatures.huggingface import HuggingFace
from tests.miniatures.physionet import PhysioNet
from tests.miniatures.selective import (
    Archive,
    Backbone,
    Buoys,
    Cards,
    Copernicus,
    Esgf,
    Granules,
    InBucket,
    InFolder,
    Pages,
    Pangaea,
    Scenes,
    Shot,
    Sst,
    SwissProt,
    Taxdump,
    Viral,
)
from tests.miniatures.table import EnaReport, GdcManifest, PmcList, SequenceIndex
from tests.miniatures.zenodo import Zenodo


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
    "esa-worldcover": InBucket(
        "esa-worldcover", "v200/2021/map/", [f"ESA_WorldCover_10m_2021_v200_{tile}_Map.tif" for tile in ("N39E114", "N39E117")],
        ["ESA_WorldCover_10m_2021_v200_N39E114_InputQuality.tif", "ESA_WorldCover_10m_2021_v200_S03W063_Map.tif"],
    ),
    "worldpop": Pages("/GIS/Population/Global_2000_2020/2020/CHN/", ["chn_ppp_2020.tif", "chn_ppp_2020_UNadj.tif"], ["readme.html"]),
    "chirps-daily": Pages(
        "/products/CHIRPS-2.0/global_daily/tifs/p05/", ["2024/chirps-v2.0.2024.01.01.tif.gz", "2026/chirps-v2.0.2026.09.30.tif.gz"],
        ["1981/chirps-v2.0.1981.01.01.tif.gz", "2024/notes.txt"],
    ),
    "oisst": Pages(
        "/data/sea-surface-temperature-optimum-interpolation/v2.1/access/avhrr/",
        ["202511/oisst-avhrr-v02r01.20251130.nc", "202611/oisst-avhrr-v02r01.20261129_preliminary.nc"], ["198109/oisst-avhrr-v02r01.19810901.nc"],
    ),
    "gosat-2-swir": InFolder(
        "sftp", "/pub/releaseData/standardProduct/FTS-2_L2/SWIR_FULL/", ["0200/2026/11.01/GOSAT2TFTS220261101.h5", "0210/2026/11.01/GOSAT2TFTS220261101.h5"],
    ),
    "embrace-imager": Pages("/imager/CA/2026/", ["306/O6_CA_20261102_013000.tif", "307/O6_CA_20261103_013000.tif"]),
    "hrrr": InBucket(
        "noaa-hrrr-bdp-pds", "", [f"hrrr.20261101/conus/hrrr.t00z.wrfsfcf{hour}.grib2" for hour in ("00", "09", "18")],
        ["hrrr.20261101/conus/hrrr.t00z.wrfsfcf20.grib2", "hrrr.20261101/conus/hrrr.t06z.wrfsfcf00.grib2", "hrrr.20261031/conus/hrrr.t00z.wrfsfcf00.grib2",
         "hrrr.20261101/alaska/hrrr.t00z.wrfsfcf00.ak.grib2"],
    ),
    "ecmwf-open-data": InBucket(
        "ecmwf-forecasts", "", [f"20261101/00z/ifs/0p25/oper/20261101000000-{step}h-oper-fc.{end}" for step in (0, 3, 12, 24) for end in ("grib2", "index")],
        ["20261101/00z/ifs/0p25/oper/20261101000000-36h-oper-fc.grib2", "20261101/00z/aifs-single/0p25/oper/20261101000000-0h-oper-fc.grib2",
         "20261101/12z/ifs/0p25/oper/20261101120000-0h-oper-fc.grib2"],
    ),
    "icon-global": Pages(
        "/weather/nwp/icon/grib/00/t_2m/", [f"icon_global_icosahedral_single-level_2026110100_{hour}_T_2M.grib2.bz2" for hour in ("000", "001")], ["x.tmp"],
    ),
    "igra": Pages(
        "/data/integrated-global-radiosonde-archive/access/data-por/", ["CHM00050527-data.txt.zip", "CHM00054511-data.txt.zip"], ["USM00072493-data.txt.zip"],
    ),
    "alphafold-human": Pages("/pub/databases/alphafold/latest/", ["UP000005640_9606_HUMAN_v4.tar"], ["UP000000589_10090_MOUSE_v4.tar"]),
    "ensembl-human": Pages(
        "/pub/release-113/fasta/homo_sapiens/dna/",
        ["CHECKSUMS", "README", "Homo_sapiens.GRCh38.dna.chromosome.21.fa.gz", "Homo_sapiens.GRCh38.dna.primary_assembly.fa.gz"],
        ["Homo_sapiens.GRCh38.dna_sm.primary_assembly.fa.gz", "Homo_sapiens.GRCh38.dna.toplevel.fa.gz"],
    ),
    "cngb-project": InFolder("ftp", "/pub/CNSA/data1/CNP0000001/", ["CNS0000001/CNX0000001/CNR0000001/run_1.fq.gz", "CNS0000001/md5.txt"]),
    "gsa-run": InFolder("ftp", "/gsa/CRA000001/", ["CRR000001/CRR000001_f1.fastq.gz", "CRR000001/CRR000001_r2.fastq.gz"], ["CRR000001/notes.txt"]),
    "inaturalist-metadata": InBucket(
        "inaturalist-open-data", "metadata/", ["inaturalist-open-data-latest.tar.gz"], ["inaturalist-open-data-20261027.tar.gz"],
    ),
    "openneuro-dataset": InBucket("openneuro.org", "ds000001/", ["dataset_description.json", "sub-01/anat/sub-01_T1w.nii.gz"]),
    "bipm-circular-t": Pages("/ftp/pub/tai/Circular-T/cirt/", ["cirt.441", "cirt.442"], ["readme.txt"]),
    "iers-eop": Pages("/iers/eop/eopc04/", ["eopc04.1962-now", "eopc04_20u24.1962-now"], ["figure.png"]),
    "fair-mast-arrays": Shot(),
    "zenodo-ror": Zenodo("6347574", {"v1.60-2026-10-30-ror-data.zip": coldp("ror")}),
    "librispeech": HuggingFace(),
}  # fmt: skip
