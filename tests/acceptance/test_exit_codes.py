"""A mirror, snapshot or file that does not exist is wrong usage, whatever the command: exit code 2."""

from tests.acceptance.cli import Folder, run, sync

UNKNOWN = (
    ("verify", "other"), ("snapshots", "other"), ("rollback", "other", "ffffffff"), ("rollback", "a", "ffffffff"),
    ("diff", "a", "ffffffff", "eeeeeeee"), ("undelete", "a", "never"), ("restore", "a", "never", "--from", "SNAPSHOT"),
    ("restore", "a", "f", "--from", "ffffffff"), ("unpin", "a", "never"), ("approve", "other"), ("forget", "other", "--yes", "other"),
)  # fmt: skip


def test_a_name_that_does_not_exist_is_wrong_usage(tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "www/f").write_bytes(b"f")
    file = tmp_path / "a.yaml"
    file.write_text(f"mirror: a\nsource: {{settle: 0s, url: 'file://{tmp_path}/www/'}}\n")
    store, state = Folder(tmp_path / "store"), tmp_path / "state"
    snapshot = sync(store, state, file)["snapshot"]
    for words in UNKNOWN:
        run(store, state, *(word.replace("SNAPSHOT", snapshot[:12]) for word in words), wanted=2)
