"""Damage in the Catalogue is told as damage, with the remedy, wherever it is read; nothing looks like a bug."""

import inspect
import random
import shutil
import subprocess
import sys

import apsw
import pytest

from syncd.catalogue import Catalogue
from syncd.catalogue.state_folder import FILE
from syncd.core import Damaged, SyncdError

PARTS = (
    "approvals", "claims", "failures", "frontier", "history", "holdings", "journal", "pass_history", "settings",
)  # fmt: skip
CHANGE = {"drop", "forget", "begin", "end", "approve", "resume", "end_killed", "spend_approval", "drop_steps", "cursor"}


MIRROR = "mirrors/one.sqlite"


def syncd(folder, *words):
    command = [sys.executable, "-m", "syncd", *words, "--store", "store", "--state", "state"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    """A folder with a mirror of 300 files, of which one was replaced and one deleted."""
    folder = tmp_path_factory.mktemp("mirrored")
    archive = folder / "archive"
    archive.mkdir()
    for number in range(300):
        (archive / f"f{number:03}").write_text(f"{number}")
    (folder / "one.yaml").write_text(f'mirror: one\nsource: {{settle: 0s, url: "file://{archive}/"}}\n')
    assert syncd(folder, "sync", "one.yaml").returncode == 0
    (archive / "f001").write_text("other")
    (archive / "f002").unlink()
    assert syncd(folder, "sync", "one.yaml").returncode == 0
    return folder


@pytest.fixture
def state(mirrored, tmp_path):
    return shutil.copytree(mirrored / "state", tmp_path / "state")


def readings(catalogue):
    """Every reading method of every part that needs no more than a mirror, a path and numbers."""
    simple = {"int": 1, "int | None": None, "float": 0.0, "str": "f002", "str | None": None, "bool": False}
    for name in PARTS:
        for method, call in inspect.getmembers(getattr(catalogue, name), inspect.ismethod):
            wanted = [
                one for one in inspect.signature(call).parameters.values()
                if one.default is inspect.Parameter.empty and one.kind is not one.VAR_POSITIONAL
            ]  # fmt: skip
            if method.startswith("_") or method in CHANGE or any(_kind(one) not in simple for one in wanted):
                continue
            if any(one.kind is one.KEYWORD_ONLY for one in wanted):
                continue
            yield f"{name}.{method}", call, [simple[_kind(one)] for one in wanted]


def _kind(parameter):
    return inspect.formatannotation(parameter.annotation)


def read_all(catalogue):
    """Return how many readings said that the Catalogue is damaged; any other error but ours fails the test."""
    told = 0
    for _, call, given in readings(catalogue):
        try:
            found = call(*given)
            if inspect.isgenerator(found):
                for _ in found:
                    pass
        except Damaged as error:
            assert "syncd rebuild" in str(error)  # noqa: PT017  of whichever reading it is
            told += 1
    return told


def test_every_part_is_read(state):
    with Catalogue(state) as catalogue:
        assert len(list(readings(catalogue))) > 25
        assert read_all(catalogue) == 0


@pytest.mark.promise("P7")
@pytest.mark.parametrize("seed", range(25))
def test_damaged_bytes_are_told_as_damage(state, seed):
    chance = random.Random(seed)
    file = state / (FILE, MIRROR)[seed % 2]
    content = bytearray(file.read_bytes())
    for _ in range(chance.randint(1, 60)):
        content[chance.randrange(4096, len(content))] = chance.choice([0, 255, 0x80, 0xC3, chance.randrange(256)])
    file.write_bytes(content)
    try:
        with Catalogue(state) as catalogue:
            read_all(catalogue)
    except SyncdError as error:
        assert isinstance(error, Damaged), error  # noqa: PT017  it may open or not


@pytest.mark.parametrize(
    ("table", "column"),
    [("entry", "path"), ("entry", "url"), ("entry", "digests"), ("mirror", "name"), ("mirror", "last"),
     ("snapshot", "body"), ("version", "path")],
)  # fmt: skip
def test_a_rotten_text_is_told_as_damage(state, table, column):
    damage(state, table, column)
    with Catalogue(state) as catalogue:
        assert read_all(catalogue) >= 1


def damage(state, table, column):
    db = apsw.Connection(str(state / (FILE if table == "mirror" else MIRROR)))
    where = " WHERE path='f005'" if table == "entry" else ""
    db.execute(f"UPDATE {table} SET {column}=CAST(x'7bff80' AS TEXT){where}")
    assert db.changes() > 0
    db.close()


@pytest.mark.parametrize(
    ("table", "column", "commands"),
    [
        ("mirror", "last", [["status"], ["sync", "../one.yaml"], ["snapshots", "one"]]),
        ("entry", "path", [["verify", "one"], ["sync", "../one.yaml"], ["verify", "one", "--read-data"]]),
        ("snapshot", "body", [["snapshots", "one"], ["verify", "one"]]),
    ],
)
def test_commands_end_with_exit_3_and_the_remedy(mirrored, tmp_path, table, column, commands):
    folder = shutil.copytree(mirrored, tmp_path / "copy")
    damage(folder / "state", table, column)
    shutil.copy(mirrored / "one.yaml", tmp_path / "one.yaml")
    for words in commands:
        done = syncd(folder, *words)
        if done.returncode == 0:
            continue  # this command reads no row of that table
        assert done.returncode == 3, (words, done.stderr)
        assert "Traceback" not in done.stderr
        assert "syncd rebuild" in done.stderr
    assert syncd(folder, *commands[0]).returncode == 3
