"""Beside a running daemon every verb works, by its socket or its address, with the output that it has without one."""

import json
import os
import re
import socket
import stat

import pytest

from tests.acceptance.daemon_process import Service

OLD, NEW = {"a": b"old a", "b": b"old b", "gone": b"gone"}, {"a": b"new a", "b": b"old b"}


def write(folder, files):
    for path, content in files.items():
        (folder / path).write_bytes(content)


@pytest.fixture
def service(tmp_path):
    """A daemon whose mirror has two snapshots: a file was replaced, and one was deleted."""
    www = tmp_path / "www/m"
    www.mkdir(parents=True)
    service = Service(tmp_path, "http://127.0.0.1:1")
    (tmp_path / "m/m.yaml").write_text(
        f"mirror: m\nsource: {{settle: 0s, url: 'file://{www}/'}}\nguard: {{max_removed: 90%}}\n"
    )
    write(www, OLD)
    assert service.command("sync", str(tmp_path / "m/m.yaml"))[0] == 0
    (www / "gone").unlink()
    write(www, NEW)
    assert service.command("sync", str(tmp_path / "m/m.yaml"))[0] == 0
    try:
        yield service
    finally:
        service.stop()


def begin(service):
    before = len(service.events("daemon_started")) if service.log.exists() else 0
    service.start()
    service.until(lambda: len(service.events("daemon_started")) > before, "started")


def snapshots(service):
    return [one["id"] for one in json.loads(service.command("snapshots", "m", "--json")[1])]


def verbs(service, new, old):
    """Return what each verb prints as JSON, and its exit code; whatever one does, the next undoes."""
    assert service.command("rollback", "m", new)[0] == 0
    words = (
        ("rollback", "m", old[:12]), ("rollback", "m", new[:12]), ("undelete", "m", "gone"), ("undelete", "m", "gone"),
        ("unpin", "m", "gone"), ("restore", "m", "a", "--from", old[:12]), ("unpin", "m", "a"),
        ("verify", "m", "--read-data", "--repair"), ("reject", "m"), ("retry", "m", "a"), ("tag", "m", old[:12], "v1"),
        ("rollback", "m", "v1"), ("tag", "remove", "m", "v1"), ("rebuild", "m"), ("forget", "m", "--yes", "m"),
    )  # fmt: skip
    found = []
    for one in words:
        code, out, err = service.command(*one, "--json")
        said = json.loads(out) if out else {}
        if isinstance(said, dict):
            said.pop("seconds", None)
        errors = [line for line in err.splitlines() if '"configuration"' not in line and '"event"' not in line]
        found.append((one, code, said, errors))
    return found


def test_each_verb_says_and_does_the_same_with_and_without_a_daemon(service):
    new, old = snapshots(service)
    alone = verbs(service, new, old)
    begin(service)
    assert verbs(service, new, old) == alone
    assert [code for _, code, _, _ in alone] == [0, 0, 0, 2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3]


def test_the_socket_is_for_the_group_and_the_log_has_the_user_of_the_command(service):
    begin(service)
    sock = service.root / "state/control.sock"
    mode = sock.stat()
    assert stat.S_ISSOCK(mode.st_mode)
    assert (stat.S_IMODE(mode.st_mode), mode.st_gid) == (0o660, os.getgid())
    assert service.command("release", "m")[:2] == (0, "m: was not held\n")
    (entry,) = [one for one in service.events("audited") if one["what"] == "release"]
    assert entry["who"].endswith(" (command line)")
    service.stop()
    with socket.socket(socket.AF_UNIX) as left, pytest.raises(ConnectionRefusedError):
        left.connect(f"/proc/self/fd/{os.open(sock.parent, os.O_PATH)}/{sock.name}")
    assert service.command("release", "m")[:2] == (0, "m: was not held\n")
    service.process = None
    begin(service)
    assert service.command("release", "m")[:2] == (0, "m: was not held\n")


def test_a_held_rollback_is_undone_by_no_pass_until_it_is_released(service):
    new, old = snapshots(service)
    begin(service)
    code, out, _ = service.command("rollback", "m", old, "--hold")
    assert (code, out.splitlines()[1]) == (0, "m: held: no pass begins until `syncd release m`")
    url = service.events("serving")[0]["url"]
    assert service.copy("m") == OLD
    code, out, err = service.command("sync", str(service.root / "m/m.yaml"))
    assert code == 3, (out, err)
    service.stop()
    service.process = None
    code, _, err = service.command("sync", str(service.root / "m/m.yaml"))
    assert code == 3
    assert f"m: is held at snapshot {old[:12]} by " in err
    assert "`syncd release m` ends that" in err
    assert service.copy("m") == OLD
    assert service.command("release", "m")[0] == 0
    assert service.command("sync", str(service.root / "m/m.yaml"))[0] == 0
    assert service.copy("m") == NEW
    assert snapshots(service)[0] == new
    assert url.startswith("http://127.0.0.1:")


def test_over_an_address_a_command_needs_the_token_of_an_operator(service, monkeypatch):
    token = json.loads(service.command("token", "ops", "--role", "operator", "--json")[1])
    with (service.root / "syncd.yaml").open("a") as file:
        file.write(f"tokens: [{{name: ops, role: operator, sha256: {token['entry']['sha256']}}}]\n")
    begin(service)
    url = service.events("serving")[0]["url"]
    elsewhere = ("--url", url, "--state", str(service.root / "elsewhere"))
    monkeypatch.delenv("SYNCD_TOKEN", raising=False)
    code, _, err = service.command("release", "m", *elsewhere)
    assert code == 4
    assert "this needs a token with the role operator" in err
    monkeypatch.setenv("SYNCD_TOKEN", token["token"])
    assert service.command("release", "m", *elsewhere)[:2] == (0, "m: was not held\n")
    assert service.command("release", "n", *elsewhere)[0] == 2
    (entry,) = [one for one in service.events("audited") if one["what"] == "release"]
    assert entry["who"] == "ops"
    assert service.command("release", "m", "--url", "http://127.0.0.1:1")[0] == 4
    assert service.command("release", "m", "--url", "ftp://x")[0] == 2
    assert not (service.root / "elsewhere").exists()


def test_a_plan_and_a_survey_are_made_beside_the_daemon_as_without_it(service):
    file = str(service.root / "m/m.yaml")
    (service.root / "www/m/a").write_bytes(b"newer a")
    (service.root / "www/m/more").write_bytes(b"more")
    alone = service.command("plan", file, "--all"), service.command("survey", file, "--json")
    begin(service)
    before = {path: path.stat().st_mtime_ns for path in (service.root / "store").rglob("*") if path.is_file()}
    beside = service.command("plan", file, "--all"), service.command("survey", file, "--json")
    room = re.compile("free in the store: .*")
    assert [(code, room.sub("", out)) for code, out, _ in beside] == [(c, room.sub("", out)) for c, out, _ in alone]
    assert "1 to fetch, 1 to replace, 1 to keep" in beside[0][2]
    after = {path: path.stat().st_mtime_ns for path in (service.root / "store").rglob("*") if path.is_file()}
    assert {path.name for path in after if before.get(path) != after[path]} <= {"lease.json", "lease"}
    assert json.loads(service.command("status", "--json")[1])[0]["files"] == 2
    code, out, err = service.command("sync", file)
    assert (code, out.splitlines()[0].partition(";")[0]) == (
        0, "m: 1 fetched, 1 replaced, 1 kept, 0 deleted, 0 held for approval, 0 failed"
    ), err  # fmt: skip
    assert service.copy("m") == {"a": b"newer a", "b": b"old b", "more": b"more"}


def test_asking_of_a_store_without_a_state_folder_makes_none(service):
    file = str(service.root / "m/m.yaml")
    code, _, err = service.command("plan", file, "--state", str(service.root / "new"))
    assert (code, "0 to fetch, 0 to replace, 2 to keep" in err) == (0, True), err
    for words in (("status",), ("survey", file), ("snapshots", "m"), ("check", file)):
        service.command(*words, *(("--state", str(service.root / "new")) if words[0] != "check" else ()))
    assert not (service.root / "new").exists()
