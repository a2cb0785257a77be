"""deploy/compose.yaml: its parts fit one another, and what of it is ours works together without containers.

Not run here: the images of others (S3 server, Prometheus, Grafana), for no registry is asked.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from manifests.model.mirror import load_mirror
from syncd.config.load import load_config
from tests.acceptance.cli import Bucket, sync

FOLDER = Path(__file__).parents[2] / "deploy"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
CONFIG = FOLDER / "compose" / "syncd.yaml"


def mounts(name):
    """Where each of our files is seen inside a service."""
    pairs = [volume.split(":") for volume in SERVICES[name].get("volumes", ())]
    return {pair[1]: FOLDER / pair[0] for pair in pairs if pair[0].startswith("./")}


def test_every_file_that_is_mounted_exists_and_cannot_be_written_to():
    for name, service in SERVICES.items():
        for volume in service.get("volumes", ()):
            source, *rest = volume.split(":")
            if source.startswith("./"):
                assert (FOLDER / source).exists(), volume
                assert rest[-1] == "ro", volume
            else:
                assert source in COMPOSE["volumes"], f"{name}: {volume}"


def test_nothing_is_reached_from_outside_and_no_image_is_whatever_is_latest():
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), service["image"]


def test_the_parts_that_are_ours_are_read_only_and_have_no_power():
    for name in ("syncd", "archive", "bucket"):
        service = SERVICES[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["build"] == {"context": "..", "dockerfile": "deploy/container/Containerfile"}


def test_each_finds_the_other():
    config = load_config(CONFIG, environ={})
    assert config.store.endpoint == "http://s3:7070"
    assert SERVICES["bucket"]["entrypoint"][-2:] == [config.store.endpoint, config.store.url.split("/")[2]]
    assert config.allow_private == {"http://archive:8000"}
    assert "0.0.0.0:8000" in SERVICES["archive"]["entrypoint"]
    assert mounts("syncd")["/etc/syncd/syncd.yaml"] == CONFIG
    assert [str(folder) for folder in config.manifests] == ["/etc/syncd/manifests.d"]
    keys, root = SERVICES["syncd"]["environment"], SERVICES["s3"]["environment"]
    assert keys["AWS_ACCESS_KEY_ID"] == root["ROOT_ACCESS_KEY"]
    assert keys["AWS_SECRET_ACCESS_KEY"] == root["ROOT_SECRET_KEY"]
    scrape = yaml.safe_load((FOLDER / "compose" / "prometheus.yml").read_text())
    (job,) = scrape["scrape_configs"]
    assert (job["job_name"], job["static_configs"]) == ("syncd", [{"targets": ["syncd:8750"]}])
    assert "syncd" in config.api.hosts  # the name under which Prometheus asks
    assert {f"/etc/prometheus/{name}" for name in scrape["rule_files"]} <= mounts("prometheus").keys()


def test_grafana_finds_its_dashboards_and_prometheus():
    seen = mounts("grafana")
    provisioning = seen["/etc/grafana/provisioning"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "syncd.yaml").read_text())["providers"]
    assert any((seen[provider["options"]["path"]]).glob("*.json"))
    (source,) = yaml.safe_load((provisioning / "datasources" / "syncd.yaml").read_text())["datasources"]
    assert source["url"] == "${PROMETHEUS_URL}"
    assert SERVICES["grafana"]["environment"]["PROMETHEUS_URL"] == "http://prometheus:9090"
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (seen[provider["options"]["path"]] / Path(home).name).exists()


@pytest.fixture
def archive(tmp_path):
    """The archive as its own program."""
    words: list[str | Path] = [
        sys.executable,
        FOLDER / "compose" / "archive.py",
        "--listen",
        "127.0.0.1:0",
        "--scale",
        "0.01",
    ]
    process = subprocess.Popen([*words, tmp_path / "archive"], stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip().rstrip("/")
    finally:
        process.kill()
        process.wait(120)
        process.stdout.close()


@pytest.mark.swift
def test_what_is_ours_works_together_without_containers(archive, swift, tmp_path):
    name = f"mirrors-{os.getpid()}"
    store = Bucket(swift, f"s3://{name}/all/")
    subprocess.run(
        [sys.executable, "-W", "ignore", FOLDER / "compose" / "bucket.py", swift.endpoint, name],
        env={**os.environ, **store.environ},
        check=True,
        capture_output=True,
        timeout=240,
    )
    manifests = []
    for file in sorted((FOLDER / "compose" / "manifests.d").iterdir()):
        manifests.append(tmp_path / file.name)
        manifests[-1].write_text(file.read_text().replace("http://archive:8000", archive))
        assert load_mirror(manifests[-1].read_bytes(), file.name).name == file.stem
    sync(store, tmp_path / "state", *manifests, "--allow-private", archive)
    assert len(store.paths("stations/")) == 40
    assert len(store.paths("scenes/")) == 41


def test_the_archive_publishes_after_each_change_what_is_there(tmp_path):
    spec = importlib.util.spec_from_file_location("archive", FOLDER / "compose" / "archive.py")
    assert spec is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    archive = program.Archive(tmp_path, scale=0.001)
    seen = set()
    for _ in range(15):
        archive.change()
        subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"], cwd=tmp_path / "scenes", check=True)
        seen.add((tmp_path / "scenes" / "SHA256SUMS").read_text())
    assert len(seen) == 15
    assert len((tmp_path / "scenes" / "SHA256SUMS").read_text().splitlines()) == 40 + 5 - 3
