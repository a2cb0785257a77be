"""A command waits at its start for what it works with, and for nothing that only another one needs."""

import subprocess
import sys

import pytest

SAYS_WHAT_IT_IMPORTED = """
import atexit, sys
atexit.register(lambda: sys.__stdout__.write("\\n" + "\\n".join(["IMPORTED", *sys.modules])))
from syncd.cli.main import main
sys.argv[:] = ["syncd", *sys.argv[1:]]
main()
"""
OF_OTHERS = {
    "syncd.api", "syncd.daemon.backup", "syncd.cli.progress.bars", "syncd.daemon.daemon", "syncd.daemon.mirror_registry", "syncd.process.logging", "syncd.daemon.queries",
    "syncd.metrics", "syncd.daemon.pass_scheduler", "syncd.daemon.scrubber", "syncd.daemon.service", "syncd.daemon.controller", "syncd.daemon.maintenance", "syncd.engine.verify",
    "aiohttp.web", "awscrt", "boto3", "botocore", "jinja2", "pathspec", "prometheus_client", "rich", "structlog",
}  # fmt: skip
OF_WORK = {"aiohttp", "apsw", "asyncio", "msgspec", "pydantic", "ruamel", "selectolax", "tenacity", "uvloop"}


def imported(folder, *words):
    """The modules that a command has imported by its end."""
    command = [sys.executable, "-c", SAYS_WHAT_IT_IMPORTED, *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.partition("IMPORTED\n")[2].split())


def named(modules, forbidden):
    """Those of `forbidden` that are among the modules, by themselves or by a module within."""
    return {name for name in forbidden if any(module == name or module.startswith(f"{name}.") for module in modules)}


@pytest.fixture
def manifest(tmp_path):
    return manifest_of(tmp_path)


def manifest_of(tmp_path):
    upstream = tmp_path / "upstream"
    upstream.mkdir()
    (upstream / "a.txt").write_text("a")
    text = f"mirror: m\nsource: {{url: 'file://{upstream}/', reader: objects}}\n"
    (tmp_path / "m.yaml").write_text(text)
    return tmp_path / "m.yaml"


def test_sync_imports_nothing_of_the_daemon_nor_of_a_terminal(manifest):
    modules = imported(manifest.parent, "sync", manifest, "--store", "store", "--state", "state")
    assert (manifest.parent / "store" / "m" / "a.txt").read_text() == "a"
    assert "syncd.engine.mirror_pass" in modules
    assert named(modules, OF_OTHERS) == set()


def test_verify_imports_nothing_that_reads_a_manifest_or_moves_a_byte(manifest):
    where = ("--store", "store", "--state", "state")
    imported(manifest.parent, "sync", manifest, *where)
    modules = imported(manifest.parent, "verify", "m", *where)
    assert "syncd.engine.verify" in modules
    assert (
        named(modules, OF_OTHERS - {"syncd.engine.verify"} | {"aiohttp", "ruamel", "transports.http.transport"})
        == set()
    )


def test_plan_imports_nothing_of_the_daemon(manifest):
    words = ("plan", manifest, "--store", "store", "--state", "state")
    modules = imported(manifest.parent, *words, "--json")
    assert "syncd.engine.build_plan" in modules
    assert named(modules, OF_OTHERS) == set()
    assert named(imported(manifest.parent, *words), OF_OTHERS) <= {"rich"}  # its table


@pytest.mark.parametrize("words", [["--help"], ["sync", "--help"], ["library", "--help"]], ids=" ".join)
def test_help_imports_nothing_that_works(tmp_path, words):
    modules = imported(tmp_path, *words)
    assert "syncd.cli.registration" in modules
    assert named(modules, OF_OTHERS | OF_WORK) == set()


@pytest.mark.parametrize("words", [["library", "list"], ["library", "list", "--json"], ["--version"]], ids=" ".join)
def test_the_list_of_ready_made_manifests_is_printed_without_reading_them(tmp_path, words):
    modules = imported(tmp_path, *words)
    assert named(modules, OF_OTHERS | OF_WORK) == ({"msgspec"} if "--json" in words else set())


def test_status_imports_the_catalogue_and_nothing_that_reads_a_manifest_opens_a_store_or_waits(manifest):
    where = ("--store", "store", "--state", "state")
    imported(manifest.parent, "sync", manifest, *where)
    modules = imported(manifest.parent, "status", *where)
    assert {module for module in modules if module.startswith("syncd.cli.commands.")} == {"syncd.cli.commands.status"}
    mine = {"apsw", "msgspec"}
    others = {
        "manifests.model.source", "manifests.readers", "manifests.yaml", "syncd.cli.context", "syncd.config.load", "syncd.engine",
        "syncd.session", "syncd.sources", "syncd.stores", "syncd.streams", "syncd.workers", "syncd.wrappers", "transports",
        "ssl", "importlib.metadata",
    }  # fmt: skip
    assert named(modules, OF_OTHERS | OF_WORK | others) == mine


@pytest.mark.parametrize("words", [["status"], ["status", "--json"]], ids=" ".join)
def test_status_without_a_catalogue_imports_none(tmp_path, words):
    assert named(imported(tmp_path, *words), {"syncd.session", "syncd.engine", "asyncio", "pydantic"}) == set()


def test_check_imports_the_reader_that_is_named_and_no_other(manifest):
    modules = imported(manifest.parent, "check", manifest)
    assert {module for module in modules if module.startswith("manifests.readers.")} <= {"manifests.readers.objects"}
    others = {
        "syncd.daemon.manifest_watcher",
        "syncd.engine",
        "syncd.catalogue",
        "syncd.stores",
        "transports",
        "aiohttp",
    }
    assert named(modules, OF_OTHERS | others | {"asyncio", "apsw", "tenacity", "uvloop"}) == set()


def test_the_words_of_a_command_are_converted_without_pydantic(tmp_path):
    modules = imported(tmp_path, "check", "--json", manifest_of(tmp_path))
    assert named(modules, {"typer._adapters", "aiohttp", "apsw", "asyncio", "tenacity", "uvloop"}) == set()


def test_a_worker_imports_nothing_of_the_daemon_of_a_manifest_or_of_the_catalogues_database(tmp_path):
    program = "import sys, syncd.workers.process; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    others = {"syncd.config.load", "pydantic", "ruamel", "apsw", "syncd.catalogue.database"}
    assert named(set(done.stdout.split()), OF_OTHERS | others) == set()
