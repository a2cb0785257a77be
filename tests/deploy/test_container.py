"""The Containerfile: what goes into an image and who runs it. That it builds is shown by build-offline.sh, not here."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "container"
CONTAINERFILE = (FOLDER / "Containerfile").read_text()
BUILD, FINAL = re.split(r"^FROM .*$", CONTAINERFILE, flags=re.MULTILINE)[1:]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def instructions(stage, name):
    joined = re.sub(r"\\\n\s*", " ", stage)
    return [line.removeprefix(f"{name} ").strip() for line in joined.splitlines() if line.startswith(f"{name} ")]


def test_it_is_built_in_one_stage_and_run_from_another_by_nobody_in_particular():
    assert [line.split()[1] for line in CONTAINERFILE.splitlines() if line.startswith("FROM ")] == ["${BASE}"] * 2
    assert instructions(FINAL, "USER") == ["65532:65532"]
    assert instructions(FINAL, "STOPSIGNAL") == ["SIGTERM"]
    assert instructions(FINAL, "ENTRYPOINT") == ['["/opt/syncd/bin/syncd"]']
    assert instructions(FINAL, "COPY") == ["--from=build /opt/syncd /opt/syncd"]
    assert "pip install" not in FINAL


def test_the_lock_says_the_versions_and_every_extra_is_in():
    (run,) = instructions(BUILD, "RUN")
    assert "--require-hashes --requirement requirements-runtime.lock" in run
    assert "--no-deps --no-build-isolation ." in run
    extras = PROJECT["optional-dependencies"]
    assert extras["all"] == [f"syncd[{','.join(name for name in extras if name != 'all')}]"]


def test_what_is_copied_exists_and_is_let_through():
    copied = {name for line in instructions(BUILD, "COPY") for name in line.split()[:-1]}
    assert {"syncd", "transports", "manifests", "requirements-runtime.lock", "pyproject.toml"} <= copied
    assert all((ROOT / name).exists() for name in copied)
    ignore = (ROOT / ".dockerignore").read_text().split("\n")
    assert {line.removeprefix("!") for line in ignore if line.startswith("!")} == copied
    assert ignore[1] == "*"


def test_what_the_build_reads_of_the_project_is_copied():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = {PROJECT["readme"], *wheel["packages"], *(str(Path(file).parent) for file in wheel["shared-data"])}
    assert wanted <= {name for line in instructions(BUILD, "COPY") for name in line.split()}


def test_its_labels_and_folders_are_right():
    (label,) = instructions(FINAL, "LABEL")
    labels = dict(re.findall(r'(org\.opencontainers\.image\.\w+)="([^"]*)"', label))
    assert labels.keys() >= {
        f"org.opencontainers.image.{name}"
        for name in ("title", "description", "version", "revision", "created", "licenses")
    }
    assert labels["org.opencontainers.image.description"] == PROJECT["description"]
    assert f"VERSION={PROJECT['version']}" in instructions(FINAL, "ARG")
    assert instructions(FINAL, "VOLUME") == ['["/var/lib/syncd", "/srv/mirrors"]']


def test_the_script_that_builds_without_a_registry_is_a_script():
    script = FOLDER / "build-offline.sh"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
