"""The tables of the daemon's file. A change needs one more of the STEPS that migrate to it.

Up to version 13 this file had the records of all mirrors. Version 14 has each mirror's in a file of its own, whose
tables are in `mirror_schema`; `syncd.catalogue.separation` moves them there before this step is run.
"""

VERSION_1 = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE mirror (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, prefix TEXT NOT NULL, snapshot TEXT NOT NULL DEFAULT '',
  title TEXT NOT NULL DEFAULT '', source TEXT NOT NULL DEFAULT '', succeeded REAL, attempted REAL,
  last TEXT NOT NULL DEFAULT '{}');
CREATE TABLE entry (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 BLOB NOT NULL, xxh3 BLOB NOT NULL,
  size INTEGER, modified REAL, version TEXT, digests TEXT, url TEXT NOT NULL, verdict TEXT NOT NULL, by TEXT NOT NULL,
  proved REAL NOT NULL, checked REAL, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE changed (mirror INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE removed (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, xxh3 TEXT NOT NULL,
  origin TEXT NOT NULL, removed REAL NOT NULL, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE version (
  mirror INTEGER NOT NULL, snapshot TEXT NOT NULL, path TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
  replaced REAL NOT NULL, PRIMARY KEY (mirror, snapshot, path)) WITHOUT ROWID;
CREATE TABLE snapshot (
  mirror INTEGER NOT NULL, id TEXT NOT NULL, place INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (mirror, id));
CREATE TABLE claim (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, size INTEGER, modified REAL, version TEXT, digests TEXT, urls TEXT,
  PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE promise (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, digests TEXT NOT NULL, by TEXT NOT NULL,
  PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE todo (
  mirror INTEGER NOT NULL, action TEXT NOT NULL, path TEXT NOT NULL, size INTEGER, reason TEXT NOT NULL, stat BLOB,
  bytes INTEGER NOT NULL);
CREATE TABLE swap (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, staged TEXT NOT NULL, entry BLOB NOT NULL, origin BLOB NOT NULL,
  old_bytes INTEGER NOT NULL, old_sha256 TEXT NOT NULL, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE inflight (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, token TEXT NOT NULL, version TEXT NOT NULL, size INTEGER NOT NULL,
  PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE approved (mirror INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE parked (mirror INTEGER NOT NULL, path TEXT NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (mirror, path))
  WITHOUT ROWID;
CREATE TABLE pin (mirror INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE failure (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, error TEXT NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL,
  quarantined TEXT NOT NULL, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
"""

VERSION_2 = """
CREATE INDEX todo_mirror ON todo (mirror);
CREATE TABLE pass (
  id INTEGER PRIMARY KEY AUTOINCREMENT, mirror INTEGER NOT NULL, why TEXT NOT NULL, who TEXT NOT NULL DEFAULT '',
  began REAL NOT NULL, ended REAL, outcome TEXT NOT NULL DEFAULT 'running', snapshot TEXT NOT NULL DEFAULT '',
  fetched INTEGER NOT NULL DEFAULT 0, replaced INTEGER NOT NULL DEFAULT 0, kept INTEGER NOT NULL DEFAULT 0,
  removed INTEGER NOT NULL DEFAULT 0, parked INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT '');
CREATE INDEX pass_mirror ON pass (mirror, id);
CREATE TABLE pass_event (
  pass INTEGER NOT NULL, id INTEGER NOT NULL, at REAL NOT NULL, level TEXT NOT NULL, event TEXT NOT NULL,
  path TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (pass, id)) WITHOUT ROWID;
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, mirror TEXT NOT NULL,
  outcome TEXT NOT NULL);
CREATE TABLE pause (mirror INTEGER PRIMARY KEY, who TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE quarantine (
  mirror INTEGER NOT NULL, place TEXT NOT NULL, path TEXT NOT NULL, error TEXT NOT NULL, reason TEXT NOT NULL,
  at REAL NOT NULL, PRIMARY KEY (mirror, place)) WITHOUT ROWID;
CREATE TABLE fault (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, finding TEXT NOT NULL, reason TEXT NOT NULL, sha256 BLOB NOT NULL,
  found REAL NOT NULL, tried REAL, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TRIGGER failure_kept AFTER INSERT ON failure WHEN new.quarantined <> '' BEGIN
  INSERT OR REPLACE INTO quarantine VALUES (new.mirror, new.quarantined, new.path, new.error, new.reason, new.at);
END;
INSERT OR REPLACE INTO quarantine
  SELECT mirror, quarantined, path, error, reason, at FROM failure WHERE quarantined <> '';
"""

VERSION_3 = """
CREATE TABLE question (
  id INTEGER PRIMARY KEY, mirror INTEGER NOT NULL, mark INTEGER NOT NULL, asked BLOB, UNIQUE (mirror, mark));
CREATE TABLE asking (
  mirror INTEGER PRIMARY KEY, key TEXT NOT NULL, began REAL NOT NULL, seen REAL NOT NULL, mark TEXT NOT NULL);
"""

VERSION_4 = "DROP TABLE todo"

# Beside each reason, its template and values (`manifests.messages.pack`); "" for rows of earlier versions.
VERSION_5 = """
ALTER TABLE failure ADD COLUMN message TEXT NOT NULL DEFAULT '';
ALTER TABLE quarantine ADD COLUMN message TEXT NOT NULL DEFAULT '';
ALTER TABLE pass ADD COLUMN message TEXT NOT NULL DEFAULT '';
ALTER TABLE pass_event ADD COLUMN message TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN message TEXT NOT NULL DEFAULT '';
ALTER TABLE fault ADD COLUMN message TEXT NOT NULL DEFAULT '';
DROP TRIGGER failure_kept;
CREATE TRIGGER failure_kept AFTER INSERT ON failure WHEN new.quarantined <> '' BEGIN
  INSERT OR REPLACE INTO quarantine
    VALUES (new.mirror, new.quarantined, new.path, new.error, new.reason, new.at, new.message);
END;
"""

VERSION_6 = """
CREATE TABLE deferred (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, claim TEXT NOT NULL, tries INTEGER NOT NULL, due REAL NOT NULL,
  error TEXT NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL, quarantined TEXT NOT NULL,
  PRIMARY KEY (mirror, path)) WITHOUT ROWID;
"""

# A removed file of an older syncd is still under its final name: its `snapshot` is '-' until the next pass moves it.
VERSION_7 = """
ALTER TABLE removed RENAME TO removed_in_place;
CREATE TABLE removed (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, snapshot TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
  xxh3 TEXT NOT NULL, origin TEXT NOT NULL, removed REAL NOT NULL, failed TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (mirror, path, snapshot)) WITHOUT ROWID;
INSERT INTO removed SELECT mirror, path, '-', bytes, sha256, xxh3, origin, removed, '' FROM removed_in_place;
DROP TABLE removed_in_place;
CREATE INDEX removed_snapshot ON removed (mirror, snapshot);
ALTER TABLE swap ADD COLUMN failed TEXT NOT NULL DEFAULT '';
ALTER TABLE pin ADD COLUMN frozen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE snapshot ADD COLUMN created REAL NOT NULL DEFAULT 0;
UPDATE snapshot SET created=coalesce(json_extract(CAST(body AS TEXT), '$.created'), 0);
"""

# `claim`: upstream's version of a replacement that loses bytes; NULL: a deletion. `staged` holds replacements that are
# verified, and not yet judged or held.
VERSION_8 = """
ALTER TABLE parked ADD COLUMN kind TEXT NOT NULL DEFAULT 'deleted';
ALTER TABLE parked ADD COLUMN new_bytes INTEGER;
ALTER TABLE parked ADD COLUMN claim BLOB;
ALTER TABLE approved ADD COLUMN claim BLOB;
CREATE TABLE rejected (mirror INTEGER NOT NULL, path TEXT NOT NULL, claim BLOB, PRIMARY KEY (mirror, path))
  WITHOUT ROWID;
CREATE TABLE staged (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, pass TEXT NOT NULL, staged TEXT NOT NULL, bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL, entry BLOB NOT NULL, origin BLOB NOT NULL, old_bytes INTEGER NOT NULL, old_sha256 TEXT NOT NULL,
  held INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
"""

# The versions of one path; the primary key finds those of one snapshot.
VERSION_9 = """
CREATE INDEX version_path ON version (mirror, path, replaced);
"""

# The validator of the answer beside the listing's stamp; NULL where it is the same, or was not kept yet. `doubt` has
# the files whose stamps do not prove them yet, `unsettled` those that upstream may still be writing.
VERSION_10 = """
ALTER TABLE entry ADD COLUMN answer_version TEXT;
ALTER TABLE entry ADD COLUMN answer_modified REAL;
CREATE TABLE doubt (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL, clock REAL NOT NULL,
  PRIMARY KEY (mirror, path)) WITHOUT ROWID;
CREATE TABLE unsettled (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, claim TEXT NOT NULL, since REAL NOT NULL, due REAL, reason TEXT NOT NULL,
  message TEXT NOT NULL, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
ALTER TABLE pass ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;
"""

# `signed`: which document named the link of a path; `urls` are fresh links. `signer`: the requests of these documents.
VERSION_11 = """
CREATE TABLE signed (
  mirror INTEGER NOT NULL, path TEXT NOT NULL, mark INTEGER NOT NULL, urls TEXT, PRIMARY KEY (mirror, path))
  WITHOUT ROWID;
CREATE TABLE signer (
  mirror INTEGER NOT NULL, mark INTEGER NOT NULL, asked BLOB NOT NULL, PRIMARY KEY (mirror, mark)) WITHOUT ROWID;
"""

# The files whose claims were renewed since their lines were written into a Snapshot.
VERSION_12 = """
CREATE TABLE renewed (mirror INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY (mirror, path)) WITHOUT ROWID;
"""

# Files that were copied inside the store.
VERSION_13 = """
ALTER TABLE pass ADD COLUMN copied INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pass ADD COLUMN copied_bytes INTEGER NOT NULL DEFAULT 0;
"""

# `key` is in the mirror's own file, too: one with another key belongs to another Catalogue. NULL: it has no file yet.
VERSION_14 = """
ALTER TABLE mirror ADD COLUMN key TEXT;
UPDATE mirror SET key=(SELECT value FROM setting WHERE name='separation');
DELETE FROM setting WHERE name='separation';
DROP TRIGGER failure_kept;
DROP TABLE entry;
DROP TABLE changed;
DROP TABLE renewed;
DROP TABLE removed;
DROP TABLE version;
DROP TABLE snapshot;
DROP TABLE claim;
DROP TABLE promise;
DROP TABLE swap;
DROP TABLE staged;
DROP TABLE inflight;
DROP TABLE approved;
DROP TABLE rejected;
DROP TABLE parked;
DROP TABLE pin;
DROP TABLE failure;
DROP TABLE deferred;
DROP TABLE doubt;
DROP TABLE unsettled;
DROP TABLE quarantine;
DROP TABLE fault;
DROP TABLE question;
DROP TABLE asking;
DROP TABLE signed;
DROP TABLE signer;
"""

# Mirrors that are or were published: `ended` is when they were withdrawn. They stay for ever.
VERSION_15 = """
CREATE TABLE publication (
  mirror TEXT PRIMARY KEY, since REAL NOT NULL, ended REAL, reason TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
"""

# What passes downloaded and verified, by day (UTC): reports of usage compare it with what was given.
VERSION_16 = """
CREATE TABLE fetched (
  mirror TEXT NOT NULL, day TEXT NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (mirror, day)) WITHOUT ROWID;
INSERT INTO fetched SELECT mirror.name, date(coalesce(pass.ended, pass.began), 'unixepoch') AS day,
  sum(max(0, pass.bytes-pass.copied_bytes)) AS bytes
  FROM pass JOIN mirror ON mirror.id=pass.mirror GROUP BY 1, 2 HAVING bytes>0 AND day IS NOT NULL;
"""

# The audit log is a hash chain; entries that were there are chained by `AuditLog.seal_audit`.
VERSION_17 = """
ALTER TABLE audit ADD COLUMN door TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN changes TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN details TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN previous TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN hash TEXT NOT NULL DEFAULT '';
"""

# What the daemon was asked to do, and what came of it; `act` and `result` are JSON.
VERSION_18 = """
CREATE TABLE job (
  id INTEGER PRIMARY KEY AUTOINCREMENT, mirror TEXT NOT NULL, act BLOB NOT NULL, who TEXT NOT NULL,
  state TEXT NOT NULL, asked REAL NOT NULL, began REAL, ended REAL, error TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '', code INTEGER, result BLOB,
  starts INTEGER NOT NULL DEFAULT 0);
CREATE INDEX job_state ON job (state) WHERE state IN ('waiting', 'running');
"""

JOINED = 13  # the last version with the records of all mirrors in one file
STEPS = (
    VERSION_1,
    VERSION_2,
    VERSION_3,
    VERSION_4,
    VERSION_5,
    VERSION_6,
    VERSION_7,
    VERSION_8,
    VERSION_9,
    VERSION_10,
    VERSION_11,
    VERSION_12,
    VERSION_13,
    VERSION_14,
    VERSION_15,
    VERSION_16,
    VERSION_17,
    VERSION_18,
)
SCHEMA_VERSION = len(STEPS)
