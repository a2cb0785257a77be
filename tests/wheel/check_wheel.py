"""The wheel as a steward gets it: built, installed with its own dependencies elsewhere, looked into, run.

Not named test_*: `make wheel-test` names it; it needs the package index, and `make test` does not.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.plug_ins import write_package

ROOT = Path(__file__).parents[2]
PACKAGES = {"syncd", "transports", "manifests"}

LOOK = """
import json, importlib.metadata as metadata
from importlib import resources
from syncd.sources.open_source import EXTRAS  # what is not installed here, and cannot be loaded
found = metadata.packages_distributions()
print(json.dumps({
    "distributions": {name: found[name] for name in ("syncd", "transports", "manifests")},
    "plug_ins": [
        point.name
        for group in ("syncd.transports.v1", "syncd.readers.v1")
        for point in metadata.entry_points(group=group) if point.name in EXTRAS or point.load()
    ],
    "schema": json.loads(resources.files("manifests").joinpath("mirror.schema.json").read_text())["title"],
}))
"""

pytestmark = pytest.mark.timeout(600)  # the package index may be slow


def run(*words, cwd=ROOT):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    ended = subprocess.run(words, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{words}:\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


def interpreters():
    """Those Pythons that syncd is said to run on and that this machine has: on the path, or made by pyenv."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for version in re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"])):
        found = [path for name in (f"python{version}",) if (path := shutil.which(name)) and works(path)]
        found += sorted(map(str, Path.home().glob(f".pyenv/versions/{version}*/bin/python{version}")))
        if f"{sys.version_info.major}.{sys.version_info.minor}" == version:
            found.insert(0, sys.executable)
        if found:
            yield pytest.param(found[0], id=version)


def works(python):
    """True if a Python starts: one of pyenv's shims may stand for a version that is not chosen."""
    return subprocess.run([python, "-c", "import venv"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module", params=list(interpreters()))
def elsewhere(request, wheel, tmp_path_factory):
    """A fresh environment that holds the wheel and what it says it needs, and nothing else of ours."""
    folder = tmp_path_factory.mktemp("elsewhere")
    versions = folder / "versions.txt"
    versions.write_text("\n".join(re.findall(r"^\S+==\S+", (ROOT / "requirements.lock").read_text(), re.MULTILINE)))
    run(request.param, "-m", "venv", folder / "venv")
    pip = (folder / "venv/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "-q")
    run(*pip, "--constraint", versions, wheel, cwd=folder)
    return folder


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith((".dist-info", ".data"))} == PACKAGES
    assert not [
        name
        for name in names
        if name.startswith("demo") or "/demo" in name or "/test" in name or name.endswith(".keep")
    ]


def test_the_wheel_holds_the_manual_page_and_the_completions_of_three_shells(wheel):
    files = {name.partition(".data/data/")[2] for name in zipfile.ZipFile(wheel).namelist()}
    assert {
        "share/man/man1/syncd.1",
        "share/bash-completion/completions/syncd",
        "share/zsh/site-functions/_syncd",
        "share/fish/vendor_completions.d/syncd.fish",
    } <= files


def test_the_wheel_holds_what_is_no_module_too(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"{package}/py.typed" for package in PACKAGES} | {
        "manifests/mirror.schema.json",
        "syncd/config/syncd.schema.json",
    } <= names
    page = {
        str(path.relative_to(ROOT))
        for part in ("static", "templates", "i18n")
        for path in (ROOT / "syncd/web" / part).iterdir()
        if path.is_file()
    }
    assert len(page) > 20
    assert page <= names
    library = {str(path.relative_to(ROOT)) for path in (ROOT / "manifests/library").rglob("*.yaml")}
    assert library <= names


def test_installed_elsewhere_its_packages_are_its_own_and_its_plug_ins_load(elsewhere):
    found = json.loads(run(elsewhere / "venv/bin/python", "-c", LOOK, cwd=elsewhere))
    assert found["distributions"] == {name: ["syncd"] for name in PACKAGES}
    assert {"http", "https", "s3", "file", "checksums", "autoindex", "objects"} <= set(found["plug_ins"])
    assert found["schema"]


def test_the_locked_files_are_enough_to_install_it_from(wheel, tmp_path):
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    pip = (tmp_path / "venv/bin/python", "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "-q", "--require-hashes", "--requirement", ROOT / "requirements-runtime.lock", cwd=tmp_path)
    run(*pip, "install", "-q", "--no-deps", wheel, cwd=tmp_path)
    assert "No broken requirements" in run(*pip, "check", cwd=tmp_path)


def test_installed_elsewhere_it_runs(elsewhere):
    assert "Usage: syncd" in run(elsewhere / "venv/bin/syncd", "--help", cwd=elsewhere)
    assert "physionet-mitdb" in run(elsewhere / "venv/bin/syncd", "library", "list", cwd=elsewhere)
    manifest = elsewhere / "m.yaml"
    manifest.write_text("mirror: m\nsource: {url: 'https://example.org/data/', reader: autoindex}\n")
    assert "no problems" in run(elsewhere / "venv/bin/syncd", "check", manifest, cwd=elsewhere)


LISTS = {
    "list.tsv": "b.txt\t5\t486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7\nsub/\n",
    "b.txt": "world",
    "sub/list.tsv": "c.txt\t5\t2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\n",
    "sub/c.txt": "hello",
    "not listed.txt": "",
}


@pytest.fixture(scope="module")
def plug_ins(elsewhere, tmp_path_factory):
    """The environment with the two packages of the documentation, each built from its own pyproject.toml."""
    folder = tmp_path_factory.mktemp("plug-ins")
    for module in ("syncd_tsv", "syncd_zip"):
        package = write_package(module, folder / module)
        run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, package)
    pip = (elsewhere / "venv/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps")
    run(*pip, "--no-index", *folder.glob("*.whl"), cwd=folder)
    archive = folder / "archive.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in LISTS.items():
            made.writestr(name, content)
    return elsewhere / "venv/bin/syncd", archive


@pytest.mark.parametrize(("reader", "expected"), [("objects", set(LISTS)), ("tsv", {"b.txt", "sub/c.txt"})])
def test_a_transport_of_another_package_is_mirrored_from(plug_ins, tmp_path, reader, expected):
    syncd, archive = plug_ins
    manifest = tmp_path / "m.yaml"
    manifest.write_text(f"mirror: m\nsource: {{url: 'zip://localhost{archive}/', reader: {reader}}}\n")
    assert "no problems" in run(syncd, "check", manifest, cwd=tmp_path)
    store = tmp_path / "store"
    done = run(syncd, "sync", manifest, "--store", store, "--state", tmp_path / "state", "--json", cwd=tmp_path)
    last = json.loads(done.splitlines()[-1])
    assert (last["complete"], last["fetched"], last["failed"]) == (True, len(expected), 0)
    assert {name: (store / "m" / name).read_text() for name in expected} == {name: LISTS[name] for name in expected}
    assert {str(p.relative_to(store / "m")) for p in (store / "m").rglob("*") if p.is_file()} == expected
