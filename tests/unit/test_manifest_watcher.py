"""Manifests come, change, break and go while the daemon runs; the last good one stays in force."""

import errno
import os
import socket

import pytest

from manifests.model.mirror import ManifestProblem
from syncd.daemon.manifest_watcher import LOCKED, ManifestWatcher
from tests.servers.descriptors import no_descriptors

GOOD = "mirror: {name}\nsource: {{url: 'https://example.org/{name}/'}}\n{more}"


def text(name, more=""):
    return GOOD.format(name=name, more=more)


def scanned(manifests):
    found = manifests.scan()
    assert found is not None
    return found


class Desk:
    def __init__(self, folder):
        self.folder, self.now, self.checks = folder, 100.0, {}
        self.manifests = ManifestWatcher([folder], check=lambda mirror: self.checks.get(mirror.name, ()))

    def write(self, name, content):
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        os.utime(file, ns=(int(self.now * 1e9), int(self.now * 1e9)))

    def look(self, **how):
        """Look until what changed is believed."""
        changes = self.glance(**how)
        while self.manifests.is_unsettled:
            changes = self.glance(**how)
        return changes

    def glance(self, **how):
        self.now += 2
        seen = self.manifests.scan()
        return None if seen is None else self.manifests.apply(seen, self.now, **how)

    def problems(self, name):
        file = self.manifests.files[str(self.folder / name)]
        return [str(one).removeprefix(f"{self.folder}/") for one in (*file.problems, *file.clashes)]


@pytest.fixture
def desk(tmp_path):
    folder = tmp_path / "manifests.d"
    folder.mkdir()
    return Desk(folder)


def names(declared):
    return [one.mirror.name for one in declared]


def test_a_file_that_is_being_written_is_not_believed_until_it_is_the_same_twice(desk):
    whole = text("a", "guard: {max_removed: 1}\n")
    desk.write("a.yaml", "")
    assert not desk.glance()
    desk.write("a.yaml", whole[: whole.index("guard")])
    assert not desk.glance(), "half a manifest can be a good one"
    desk.write("a.yaml", whole)
    assert not desk.glance()
    accepted = desk.glance().accepted
    assert [one.text for one in accepted] == [whole]
    assert not desk.glance()


def test_at_the_start_and_at_sighup_what_lies_there_is_believed_at_once(desk):
    desk.write("a.yaml", text("a"))
    assert names(desk.glance(at_once=True).accepted) == ["a"]


def test_a_new_a_changed_and_a_removed_file_take_effect(desk):
    desk.write("a.yaml", text("a"))
    desk.write("deep/er/b.yml", text("b"))
    assert names(desk.look().accepted) == ["a", "b"]
    since = desk.manifests.in_force["a"].since
    assert not desk.look()
    desk.write("a.yaml", text("a", "title: New\n"))
    assert names(desk.look().accepted) == ["a"]
    assert desk.manifests.in_force["a"].mirror.title == "New"
    assert desk.manifests.in_force["a"].since > since
    (desk.folder / "a.yaml").unlink()
    assert not desk.look(), "an editor may be about to put it back"
    assert names(desk.look().withdrawn) == ["a"]
    assert list(desk.manifests.in_force) == ["b"]


def test_a_broken_file_is_told_once_with_its_line_and_the_last_good_one_stays(desk):
    desk.write("a.yaml", text("a"))
    desk.look()
    desk.write("a.yaml", text("a", "guard: {max_removed: soon}\n"))
    changes = desk.look()
    assert names([*changes.accepted, *changes.withdrawn]) == []
    assert [file.declared_name for file in changes.rejected] == ["a"]
    assert desk.problems("a.yaml")[0].startswith("a.yaml:3:22: guard.max_removed: ")
    assert "a" in desk.manifests.in_force
    assert not desk.look(), "it is told once"
    desk.write("a.yaml", text("a"))
    assert names(desk.look().accepted) == ["a"]
    assert desk.problems("a.yaml") == []


def test_a_file_that_is_rewritten_as_it_was_changes_nothing(desk):
    desk.write("a.yaml", text("a"))
    desk.look()
    desk.write("a.yaml", text("a"))
    assert not desk.look()


def test_two_files_cannot_declare_one_mirror_or_one_folder_and_the_first_stays(desk):
    desk.write("b.yaml", text("x"))
    desk.look()
    desk.write("a.yaml", text("x"))
    desk.write("c.yaml", text("y", "store: {prefix: x/deeper/}\n"))
    changes = desk.look()
    assert names(changes.accepted) == []
    assert desk.problems("a.yaml") == [
        f"a.yaml:1:1: mirror: {desk.folder}/b.yaml declares this mirror already: rename one of the two"
    ]
    assert desk.problems("c.yaml")[0].startswith("c.yaml:3:9: store.prefix: its folder overlaps another's")
    (desk.folder / "b.yaml").unlink()
    desk.look()
    assert names(desk.look().accepted) == ["x"], "once the first is gone, the second takes its place"
    assert desk.manifests.in_force["x"].file.endswith("a.yaml")


def test_what_the_daemon_itself_finds_wrong_is_told_at_its_key(desk):
    desk.checks["a"] = [
        ManifestProblem("", 0, 0, "source.credentials", "'portal' is not in syncd.yaml", "add it there")
    ]
    desk.write("a.yaml", "mirror: a\nsource:\n  url: 'https://example.org/'\n  credentials: portal\n")
    desk.look()
    assert desk.problems("a.yaml") == ["a.yaml:4:3: source.credentials: 'portal' is not in syncd.yaml: add it there"]
    assert desk.manifests.in_force == {}


def test_mirrors_that_wait_for_one_another_are_refused_and_those_in_force_stay_as_they_were(desk):
    desk.write("a.yaml", text("a", "schedule: {every: 6h}\n"))
    desk.write("b.yaml", text("b", "schedule: {after: [a]}\n"))
    desk.look()
    desk.write("a.yaml", text("a", "schedule: {after: [b]}\n"))
    desk.look()
    assert desk.problems("a.yaml") == [
        "a.yaml:3:12: schedule.after: a, b wait for one another: let one of them go first"
    ]
    assert desk.manifests.in_force["a"].mirror.schedule.every == 6 * 3600


def test_a_folder_that_is_suddenly_empty_is_unmounted_until_somebody_says_otherwise(desk):
    for name in "abc":
        desk.write(f"{name}.yaml", text(name))
    desk.look()
    for name in "abc":
        (desk.folder / f"{name}.yaml").unlink()
    for _ in range(5):
        assert not desk.look()
    assert desk.manifests.vanished
    assert list(desk.manifests.in_force) == ["a", "b", "c"]
    assert names(desk.look(at_once=True).withdrawn) == ["a", "b", "c"]


def test_nothing_is_looked_at_while_a_checkout_is_under_way_but_not_for_ever(desk):
    (desk.folder / ".git").mkdir()
    desk.write(".git/index.lock", "")
    desk.write("a.yaml", text("a"))
    for _ in range(LOCKED):
        assert desk.look() is None
    assert names(desk.look().accepted) == ["a"]


def test_hidden_files_configurations_and_other_files_are_no_manifests(desk):
    for name in ("..2026/a.yaml", ".a.yaml", "syncd.yaml", "README.md", ".git/b.yaml"):
        desk.write(name, text("a"))
    assert not desk.look()
    (desk.folder / "a.yaml").symlink_to(desk.folder / "..2026/a.yaml")  # as Kubernetes mounts a ConfigMap
    assert names(desk.look().accepted) == ["a"]


def test_a_file_that_is_named_and_not_there_is_told(tmp_path):
    manifests = ManifestWatcher([tmp_path / "a.yaml"], check=lambda _: ())
    changes = manifests.apply(scanned(manifests), 1.0, at_once=True)
    assert [str(problem) for file in changes.rejected for problem in file.problems] == [
        f"{tmp_path}/a.yaml:1:1: file: is not there: give the path of a manifest, or of a folder of them"
    ]
    (tmp_path / "a.yaml").write_bytes(b"mirror: \xff")
    changes = manifests.apply(scanned(manifests), 2.0, at_once=True)
    assert "not UTF-8" in str(changes.rejected[0].problems[0])


def test_a_file_that_now_declares_another_mirror_withdraws_the_first(desk):
    desk.write("a.yaml", text("a"))
    desk.look()
    desk.write("a.yaml", text("other"))
    changes = desk.look()
    assert (names(changes.accepted), names(changes.withdrawn)) == (["other"], ["a"])


def test_a_file_that_cannot_be_read_for_a_while_stays_in_force(desk, monkeypatch):
    desk.write("a.yaml", text("a"))
    desk.look()
    desk.write("a.yaml", text("a", "title: New\n"))
    with monkeypatch.context() as patched:
        patched.setattr(
            "syncd.daemon.manifest_watcher._text",
            lambda file: (_ for _ in ()).throw(PermissionError(13, "Permission denied")),
        )
        changes = desk.look()
    assert names([*changes.accepted, *changes.withdrawn]) == []
    assert "cannot be read: Permission denied" in desk.problems("a.yaml")[0]
    assert names(desk.look().accepted) == ["a"], "it is read as soon as it can be"
    assert desk.manifests.in_force["a"].mirror.title == "New"


@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
def test_what_is_no_file_is_rejected_and_the_others_go_on(desk, kind):
    odd = desk.folder / "a.yaml"
    if kind == "pipe":
        os.mkfifo(odd)  # nobody writes to it: an ordinary open would wait for ever
    elif kind == "device":
        odd.symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(odd))
    desk.write("b.yaml", text("b"))
    changes = desk.look()
    assert names(changes.accepted) == ["b"]
    assert [problem.count("\n") for problem in desk.problems("a.yaml")] == [0]
    assert "cannot be read" in desk.problems("a.yaml")[0]


@pytest.mark.promise("P9")
def test_without_descriptors_no_manifest_is_withdrawn(desk):
    desk.write("a.yaml", text("a"))
    desk.look()
    with no_descriptors():
        seen = [scanned(desk.manifests) for _ in range(3)]
    for one in seen:
        assert desk.manifests.apply(one, desk.now).withdrawn == []
    assert list(desk.manifests.in_force) == ["a"]
    assert any(
        "Too many open files" in str(problem) for file in desk.manifests.files.values() for problem in file.problems
    )
    desk.look()
    desk.look()
    assert not any(file.problems for file in desk.manifests.files.values())


def test_a_folder_that_cannot_be_listed_keeps_its_manifests(desk, monkeypatch):
    desk.write("deep/a.yaml", text("a"))
    desk.look()
    scandir = os.scandir

    def refused(path):
        if str(path).endswith("deep"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    changes = [desk.glance() for _ in range(3)]
    assert [one.withdrawn for one in changes] == [[], [], []]
    assert desk.problems("deep") == [
        "deep:1:1: file: cannot be listed: Permission denied: give the path of a manifest, or of a folder of them"
    ]
