"""Anyone checks a copy with coreutils, whatever its size; `syncd sums` writes the one file for it."""

import json
import subprocess

import pytest

from manifests.snapshot import MAX_SUMS
from tests.acceptance.cli import Bucket, Folder, run, start

MANIFEST = "mirror: scenes\nsource: {{url: 'file://{root}/', settle: 0s}}\nguard: {{max_removed: 100%}}\n"


def archive(tmp_path, files):
    root = tmp_path / "www"
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (tmp_path / "scenes.yaml").write_text(MANIFEST.format(root=root))
    return root


def printed_check(text):
    return next(line.partition("check it: ")[2] for line in text.splitlines() if "check it: " in line)


def failed(store, state, *more):
    process = start(store, state, "sums", "scenes", *more, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=240)
    assert process.returncode not in (0, 1)
    return err


def shell(command, cwd):
    return subprocess.run(["sh", "-c", command], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_the_sums_of_every_kept_snapshot_check_its_files(tmp_path, request, kind):
    server = request.getfixturevalue("swift") if kind == "bucket" else None
    store = Bucket(server, server.url()) if server is not None else Folder(tmp_path / "store")
    files = {"a b": b"1", "é/quo'te": b"2", "* c": b"3"}
    root, state = archive(tmp_path, files), tmp_path / "state"
    first = json.loads(run(store, state, "sync", tmp_path / "scenes.yaml", "--json"))["snapshot"]
    (root / "a b").write_bytes(b"changed")
    run(store, state, "sync", tmp_path / "scenes.yaml", "--json")
    written = json.loads(run(store, state, "sums", "scenes", "--out", tmp_path / "now", "--json"))
    assert (written["files"], written["file"]) == (3, str(tmp_path / "now"))
    assert shell(f"sha256sum --quiet --strict -c {tmp_path}/now", root).returncode == 0
    before = run(store, state, "sums", "scenes", "--snapshot", first[:12])
    (tmp_path / "before").write_text(before)
    done = shell(f"sha256sum --quiet --strict -c {tmp_path}/before", root)
    assert (done.returncode, done.stdout.count("FAILED")) == (1, 1)
    (root / "a b").write_bytes(b"1")
    assert shell(f"sha256sum --quiet --strict -c {tmp_path}/before", root).returncode == 0


def test_a_file_of_sums_that_cannot_be_written_says_why_and_leaves_nothing(tmp_path):
    store, state = Folder(tmp_path / "store"), tmp_path / "state"
    archive(tmp_path, {"a": b"1"})
    run(store, state, "sync", tmp_path / "scenes.yaml")
    assert "none/now: cannot be written: No such file" in failed(store, state, "--out", tmp_path / "none/now")
    assert "add --out FILE" in failed(store, state, "--json")
    (tmp_path / "taken/now").mkdir(parents=True)
    assert "cannot be written: Is a directory" in failed(store, state, "--out", tmp_path / "taken/now")
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["now"]


def test_the_printed_command_checks_more_files_than_one_list_has(tmp_path):
    store, state = Folder(tmp_path / "store"), tmp_path / "state"
    count = MAX_SUMS + 100
    archive(tmp_path, {f"{number % 50}/{number}": b"%d" % number for number in range(count)})
    command = printed_check(run(store, state, "sync", tmp_path / "scenes.yaml"))
    assert "SHA256SUMS.parts" in command
    done = shell(command, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (tmp_path / "store/scenes/7/7").write_bytes(b"damaged")
    done = shell(command, tmp_path)
    assert (done.returncode, done.stdout) == (1, "7/7: FAILED\n")
    (tmp_path / "sums").write_text(run(store, state, "sums", "scenes"))
    assert shell(f"sha256sum --quiet -c {tmp_path}/sums", tmp_path / "store/scenes").stdout == "7/7: FAILED\n"
