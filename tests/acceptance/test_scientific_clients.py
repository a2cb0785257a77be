"""GDAL, xarray, s5cmd, aws and resync read what a node serves: by its addresses, as a bucket, by its lists."""

import json
import shutil
import subprocess
from urllib.parse import unquote

import pytest

from tests.acceptance.public_side import PublicSide
from tests.acceptance.test_public_clients import FILES, call, tree
from tests.fakes import Archive
from tests.servers.clients import install
from tests.servers.nginx import free_port

pytestmark = pytest.mark.xdist_group("heavy_clients")  # they are installed once, and are large

MAKE = """
import sys, numpy, rasterio, xarray
from rasterio.transform import from_origin
folder = sys.argv[1]
values = numpy.arange(512 * 512, dtype="uint16").reshape(512, 512)
profile = dict(driver="GTiff", width=512, height=512, count=1, dtype="uint16", crs="EPSG:4326", tiled=True,
               blockxsize=256, blockysize=256, transform=from_origin(10, 50, 0.01, 0.01))
with rasterio.open(folder + "/scene.tif", "w", **profile) as made:
    made.write(values, 1)
xarray.Dataset({"t": (("y", "x"), values[:64, :64].astype("f4"))}).to_zarr(folder + "/cube.zarr", zarr_format=2)
"""

GDAL = """
import json, sys, rasterio
found = []
for address in sys.argv[1:]:
    with rasterio.open(address) as scene:
        found.append([scene.crs.to_epsg(), int(scene.read(1, window=((300, 301), (7, 8)))[0, 0]), int(scene.checksum(1))])
print(json.dumps(found))
"""

XARRAY = """
import sys, xarray
options = {"anon": True, "endpoint_url": sys.argv[1]}
cube = xarray.open_zarr("s3://scenes/cube.zarr", storage_options=options)
print(float(cube.t.sum()), cube.t.shape)
"""


@pytest.fixture(scope="module")
def programs():
    try:
        return install()
    except (subprocess.CalledProcessError, OSError) as error:
        pytest.skip(f"the clients cannot be installed: {getattr(error, 'stderr', error)!s:.300}")


@pytest.fixture
async def node(tmp_path, programs):
    """A node that serves an image, an array and odd names at its own address."""
    made = tmp_path / "made"
    made.mkdir()
    await call(programs / "python", "-c", MAKE, made)
    port = free_port()
    side = PublicSide(tmp_path / "node", Archive({**FILES, **tree(made)}, digests=("sha256",)))
    text = (side.folder / "syncd.yaml").read_text().replace("listen: 127.0.0.1:0", f"listen: 127.0.0.1:{port}")
    (side.folder / "syncd.yaml").write_text(text.replace("https://data.example.org/\n", f"http://127.0.0.1:{port}/\n"))
    snapshot = await side.run()
    async with side.serving():
        root = f"http://127.0.0.1:{port}"
        yield side, root, f"{root}/mirrors/scenes/snapshots/{snapshot}/files/"


async def test_gdal_reads_a_window_of_an_image_over_http_and_from_the_bucket(node, programs, tmp_path):
    side, root, files = node
    side.served.clear()
    environ = {
        "HOME": str(tmp_path), "AWS_NO_SIGN_REQUEST": "YES", "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_S3_ENDPOINT": f"{root.removeprefix('http://')}/s3", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    }  # fmt: skip
    addresses = (f"/vsicurl/{files}scene.tif", "/vsis3/scenes/scene.tif")
    found = json.loads(await call(programs / "python", "-c", GDAL, *addresses, env=environ))
    assert found[0] == found[1]
    assert found[0][:2] == [4326, (300 * 512 + 7) % (1 << 16)]
    assert any(0 < one.sent < 512 * 512 for one in side.served if one.path == "scene.tif")  # parts of it


async def test_xarray_opens_an_array_of_the_bucket(node, programs, tmp_path):
    _, root, _ = node
    told = await call(programs / "python", "-c", XARRAY, f"{root}/s3", env={"HOME": str(tmp_path)})
    expected = float(sum(row * 512 + column for row in range(64) for column in range(64)))
    assert told.split(" ", 1)[0] == str(expected)
    assert "(64, 64)" in told


async def test_s5cmd_copies_the_bucket(node, programs, tmp_path):
    side, root, _ = node
    out = tmp_path / "s5"
    command = (
        programs / "s5cmd",
        "--no-sign-request",
        "--endpoint-url",
        f"{root}/s3",
        "cp",
        "s3://scenes/*",
        f"{out}/",
    )
    await call(*command, env={"HOME": str(tmp_path)})
    assert tree(out) == side.archive.files


async def test_aws_syncs_the_bucket_and_finds_nothing_to_do_the_second_time(node, tmp_path):
    side, root, _ = node
    aws, out = shutil.which("aws"), tmp_path / "aws"
    if aws is None:
        pytest.skip("aws is not here: apt-get install awscli")
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "AWS_EC2_METADATA_DISABLED": "true"}
    command = (aws, "s3", "sync", "--no-sign-request", "--region", "us-east-1", "--endpoint-url", f"{root}/s3")
    await call(*command, "s3://scenes", out, env=environ)
    assert tree(out) == side.archive.files
    side.served.clear()
    assert await call(*command, "s3://scenes", out, env=environ) == ""
    assert not [one for one in side.served if one.path and one.sent]


async def test_the_client_of_resourcesync_copies_the_tree(node, programs, tmp_path):
    side, root, _ = node
    out, home = tmp_path / "resync", tmp_path / "home"
    home.mkdir()
    lists, mapped = f"{root}/mirrors/scenes/resourcelist.xml", f"{root}/mirrors/scenes/latest={out}"
    checks = ("--noauth", "--checksum", "--hash", "sha-256")
    await call(
        programs / "resync-sync", "--baseline", *checks, "--sitemap", lists, mapped, env={"HOME": str(home)}, cwd=home
    )
    copied = {unquote(path): content for path, content in tree(out).items()}  # it leaves names as urls have them
    assert copied == side.archive.files
