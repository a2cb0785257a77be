"""The tables of the Catalogue. A change here is a new SCHEMA_VERSION and a step in `database.py` that leads to it."""

SCHEMA_VERSION = 1

SCHEMA = """
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
