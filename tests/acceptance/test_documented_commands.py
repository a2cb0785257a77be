"""Each command of the pages for operators works as it stands there, beside a running daemon and without one."""

import json
import re
from pathlib import Path

import pytest

from syncd.cli.command_names import COMMANDS
from tests.acceptance.daemon_process import Service

ROOT = Path(__file__).parents[2]
LINE = re.compile(rf"^(?:    )?(?:/opt/syncd/bin/)?syncd ((?:{'|'.join(COMMANDS)})\b.*)$")
ELSEWHERE = {"key"}  # tests/acceptance/test_key_command.py
ONLY_ALONE = {("apply",), ("rebuild",)}  # they work with the whole Catalogue: the pages stop the daemon first


def documented():
    """Return the words of each command in a block of code, in the order of the pages."""
    found = []
    for page in ("operating.md", "runbooks.md"):
        for line in (ROOT / "docs" / page).read_text("utf-8").splitlines():
            match = LINE.match(line)
            if match is None or line.startswith("syncd is"):
                continue
            words = re.split(r"\s#\s|\s\|\s", match[1])[0].split()
            if words[0] not in ELSEWHERE and tuple(words) not in found:
                found.append(tuple(words))
    return found


@pytest.fixture
def service(tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "www/f").write_text("f")
    service = Service(tmp_path, "http://127.0.0.1:1")
    (tmp_path / "m/m.yaml").write_text(f"mirror: m\nsource: {{settle: 0s, url: 'file://{tmp_path}/www/'}}\n")
    assert service.command("sync", str(tmp_path / "m/m.yaml"))[0] == 0
    try:
        yield service
    finally:
        service.stop()


def run_all(service):
    """Run every command once; return those that did not end with 0, each with its exit code."""
    (snapshot,) = json.loads(service.command("snapshots", "m", "--json")[1])
    manifest = str(service.root / "m/m.yaml")
    stand_for = {
        "/etc/syncd/manifests.d": str(service.root / "m"), "landsat.plan": str(service.root / "plan"),
        "NAME": "m", "MIRROR": "m", "SNAPSHOT": snapshot["id"][:12], "week.jsonl": str(service.root / "week.jsonl"),
    }  # fmt: skip
    failed, said, seen = [], {}, set()
    for words in documented():
        given = [word for word in words if word not in {"--config", "/etc/syncd/syncd.yaml"}]
        given = [manifest if word.endswith(".yaml") else stand_for.get(word, word) for word in given]
        if tuple(given) in seen:
            continue
        seen.add(tuple(given))
        more = () if words[0] == "check" else ("--config", str(service.root / "syncd.yaml"))
        given, into = given[: given.index(">")] if ">" in given else given, given[-1]
        code, out, err = service.run(*given, *more)
        if into.endswith(".jsonl") and into not in given:
            Path(into).write_text(out)
        said[tuple(given)] = (out, err)
        if code != 0:
            failed.append((code, (given[0],) if len(given) == 1 or given[0] == "apply" else tuple(given)))
    return failed, said


def test_each_command_of_the_pages_works_without_a_daemon(service):
    failed, said = run_all(service)
    assert failed == [], said


def test_each_command_of_the_pages_works_beside_a_daemon(service):
    service.start()
    service.until(lambda: service.events("daemon_started"), "started")
    failed, said = run_all(service)
    assert {words for _, words in failed} == ONLY_ALONE, said
    assert {code for code, _ in failed} == {3}, said
    assert len(said) >= 12
