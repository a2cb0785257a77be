"""The tables of a mirror's file. A change needs one more of the MIRROR_STEPS that migrate to it.

`mirror` is the mirror's number in the daemon's file, and the same in every row. `own` says which mirror of which
Catalogue the file belongs to.

* `removed`: a file that an older syncd left under its final name has the `snapshot` '-' until the next pass moves it.
* `parked`, `approved`, `rejected`: `claim` is upstream's version of a replacement that loses bytes; NULL: a deletion.
* `staged`: replacements that are verified, and not yet judged or held.
* `entry.answer_*`: the validator of the answer beside the listing's stamp; NULL where it is the same.
* `verdict`: how many Entries, and bytes, have which verdict, by whose checksums.
* `renewed`: files whose claims were renewed since their lines were written into a Snapshot.
* `doubt` has the files whose stamps do not prove them yet, `unsettled` those that upstream may still be writing.
* `signed`: which document named the link of a path; `urls` are fresh links. `signer`: the requests of these documents.
* `message` beside a reason: its template and values (`manifests.messages.pack`).
"""

MIRROR_VERSION_1 = """
CREATE TABLE own (key TEXT NOT NULL, mirror INTEGER NOT NULL, name TEXT NOT NULL);
CREATE TABLE entry (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 BLOB NOT NULL, xxh3 BLOB NOT NULL,
  size INTEGER, modified REAL, version TEXT, digests TEXT, url TEXT NOT NULL, verdict TEXT NOT NULL, by TEXT NOT NULL,
  proved REAL NOT NULL, checked REAL, answer_version TEXT, answer_modified REAL, PRIMARY KEY (mirror, path))
  WITHOUT ROWID;
CREATE TABLE changed (mirror INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE renewed (mirror INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE removed (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, snapshot TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
  xxh3 TEXT NOT NULL, origin TEXT NOT NULL, removed REAL NOT NULL, failed TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (mirror, path, snapshot)) WITHOUT ROWID;
CREATE INDEX removed_snapshot ON removed (mirror, snapshot);
CREATE TABLE version (
  mirror INTEGER NOT NULL, snapshot TEXT NOT NULL, path TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
  replaced REAL NOT NULL, PRIMARY KEY (mirror, snapshot, path)) WITHOUT ROWID;
CREATE INDEX version_path ON version (mirror, path, replaced);
CREATE TABLE snapshot (
  mirror INTEGER NOT NULL, id TEXT NOT NULL, place INTEGER NOT NULL, body BLOB NOT NULL,
  created REAL NOT NULL DEFAULT 0, PRIMARY KEY (mirror, id));
CREATE TABLE claim (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, size INTEGER, modified REAL, version TEXT, digests TEXT, urls TEXT,
  PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE promise (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, digests TEXT NOT NULL, by TEXT NOT NULL,
  PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE swap (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, staged TEXT NOT NULL, entry BLOB NOT NULL, origin BLOB NOT NULL,
  old_bytes INTEGER NOT NULL, old_sha256 TEXT NOT NULL, failed TEXT NOT NULL DEFAULT '', PRIMARY KEY (mirror, path))
  WITHOUT ROWID;
CREATE TABLE staged (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, pass TEXT NOT NULL, staged TEXT NOT NULL, bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL, entry BLOB NOT NULL, origin BLOB NOT NULL, old_bytes INTEGER NOT NULL, old_sha256 TEXT NOT NULL,
  held INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE inflight (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, token TEXT NOT NULL, version TEXT NOT NULL, size INTEGER NOT NULL,
  PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE approved (mirror INTEGER NOT NULL, path TEXT NOT NULL, claim BLOB, PRIMARY KEY (mirror, path))
  WITHOUT ROWID;
CREATE TABLE rejected (mirror INTEGER NOT NULL, path TEXT NOT NULL, claim BLOB, PRIMARY KEY (mirror, path))
  WITHOUT ROWID;
CREATE TABLE parked (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, bytes INTEGER NOT NULL, kind TEXT NOT NULL DEFAULT 'deleted',
  new_bytes INTEGER, claim BLOB, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE pin (mirror INTEGER NOT NULL, path TEXT NOT NULL, frozen INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE failure (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, error TEXT NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL,
  quarantined TEXT NOT NULL, message TEXT NOT NULL DEFAULT '', PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE deferred (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, claim TEXT NOT NULL, tries INTEGER NOT NULL, due REAL NOT NULL,
  error TEXT NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL, quarantined TEXT NOT NULL,
  PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE doubt (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL, clock REAL NOT NULL,
  PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE unsettled (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, claim TEXT NOT NULL, since REAL NOT NULL, due REAL, reason TEXT NOT NULL,
  message TEXT NOT NULL, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE quarantine (
  mirror INTEGER NOT NULL, place TEXT NOT NULL, path TEXT NOT NULL, error TEXT NOT NULL, reason TEXT NOT NULL,
  at REAL NOT NULL, message TEXT NOT NULL DEFAULT '', PRIMARY KEY (mirror, place)) WITHOUT ROWID;
CREATE TRIGGER failure_kept AFTER INSERT ON failure WHEN new.quarantined <> '' BEGIN
  INSERT OR REPLACE INTO quarantine
    VALUES (new.mirror, new.quarantined, new.path, new.error, new.reason, new.at, new.message);
END;
CREATE TABLE fault (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, finding TEXT NOT NULL, reason TEXT NOT NULL, sha256 BLOB NOT NULL,
  found REAL NOT NULL, tried REAL, message TEXT NOT NULL DEFAULT '', PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE question (
  id INTEGER PRIMARY KEY, mirror INTEGER NOT NULL, mark INTEGER NOT NULL, asked BLOB, UNIQUE (mirror, mark));
CREATE TABLE asking (
  mirror INTEGER PRIMARY KEY, key TEXT NOT NULL, began REAL NOT NULL, seen REAL NOT NULL, mark TEXT NOT NULL);
CREATE TABLE signed (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, mark INTEGER NOT NULL, urls TEXT, PRIMARY KEY (mirror, path))
  WITHOUT ROWID;
CREATE TABLE signer (
  mirror INTEGER NOT NULL, mark INTEGER NOT NULL, asked BLOB NOT NULL, PRIMARY KEY (mirror, mark)) WITHOUT ROWID;
"""

# The moves of a restoration: `restoring` has the swap of each path that returns from the kept bytes at `source`; NULL
# for a path that leaves.
MIRROR_VERSION_2 = """
CREATE TABLE restoration (mirror INTEGER PRIMARY KEY, at REAL NOT NULL, is_decided INTEGER NOT NULL);
CREATE TABLE restoring (mirror INTEGER NOT NULL, path TEXT NOT NULL, source TEXT NOT NULL, swap BLOB,
  PRIMARY KEY (mirror, path)) WITHOUT ROWID;
"""

# Names of Snapshots that are kept until they are removed.
MIRROR_VERSION_3 = """
CREATE TABLE tag (
  mirror INTEGER NOT NULL, name TEXT NOT NULL, snapshot TEXT NOT NULL, at REAL NOT NULL, by TEXT NOT NULL,
  PRIMARY KEY (mirror, name)) WITHOUT ROWID;
"""

# How many Entries have which verdict, by whose checksums: counted once here, then by `Holdings.add`, which reads the
# Entries that it replaces (a trigger for each row costs three times as much), and by a trigger for deletions.
MIRROR_VERSION_4 = """
CREATE TABLE verdict (
  mirror INTEGER NOT NULL, verdict TEXT NOT NULL, by TEXT NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY (mirror, verdict, by)) WITHOUT ROWID;
INSERT INTO verdict SELECT mirror, verdict, by, count(*), sum(bytes) FROM entry GROUP BY mirror, verdict, by;
CREATE TRIGGER verdict_deleted AFTER DELETE ON entry BEGIN
  UPDATE verdict SET files=files-1, bytes=bytes-old.bytes
    WHERE mirror=old.mirror AND verdict=old.verdict AND by=old.by;
END;
"""

# Where files of another node came from first: `first` is what its lists said in the last survey.
MIRROR_VERSION_5 = """
ALTER TABLE entry ADD COLUMN first TEXT;
CREATE TABLE first (mirror INTEGER NOT NULL, path TEXT NOT NULL, origin TEXT NOT NULL, PRIMARY KEY (mirror, path))
  WITHOUT ROWID;
"""

# Who rejected a loss, and when (`rejected` has what); and who approved the held losses, of which more must approve.
MIRROR_VERSION_6 = """
CREATE TABLE decision (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL, bytes INTEGER NOT NULL, who TEXT NOT NULL,
  at REAL NOT NULL, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE consent (
  mirror INTEGER NOT NULL, who TEXT NOT NULL, marks TEXT NOT NULL, subject TEXT NOT NULL, at REAL NOT NULL,
  PRIMARY KEY (mirror, who)) WITHOUT ROWID;
"""

MIRROR_STEPS = (
    MIRROR_VERSION_1,
    MIRROR_VERSION_2,
    MIRROR_VERSION_3,
    MIRROR_VERSION_4,
    MIRROR_VERSION_5,
    MIRROR_VERSION_6,
)

MIRROR_TABLES = (
    "entry", "changed", "renewed", "removed", "version", "snapshot", "claim", "promise", "swap", "staged", "inflight",
    "approved", "rejected", "parked", "pin", "failure", "deferred", "doubt", "unsettled", "quarantine", "fault",
    "question", "asking", "signed", "signer",
)  # fmt: skip
"""The tables of version 1, which version 13 of the daemon's file had, too."""

DECISIONS = (
    "approved", "rejected", "parked", "pin", "failure", "deferred", "doubt", "unsettled", "quarantine", "fault",
    "tag", "decision", "consent",
)  # fmt: skip
"""What a rebuild keeps: the store cannot give it back."""

# The plan of a mirror: in a scratch file, which a pass begins with empty and is never fsynced.
SCRATCH = """
CREATE TABLE scratch.todo (
  mirror INTEGER NOT NULL, action TEXT NOT NULL, path TEXT NOT NULL, size INTEGER, reason TEXT NOT NULL, stat BLOB,
  bytes INTEGER NOT NULL);
CREATE INDEX scratch.todo_mirror ON todo (mirror);
CREATE TABLE scratch.fresh (mirror INTEGER NOT NULL, files INTEGER NOT NULL, bytes REAL NOT NULL, stats BLOB NOT NULL);
CREATE TABLE scratch.refusal (mirror INTEGER NOT NULL, path TEXT NOT NULL, reason TEXT NOT NULL,
  PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE scratch.fold (mirror INTEGER NOT NULL, part INTEGER NOT NULL, digests BLOB NOT NULL);
CREATE INDEX scratch.fold_part ON fold (mirror, part);
CREATE TABLE scratch.marker (mirror INTEGER NOT NULL, path TEXT NOT NULL, modified REAL, PRIMARY KEY (mirror, path))
  WITHOUT ROWID;
"""
SCRATCH_TABLES = ("todo", "fresh", "refusal", "fold", "marker")
