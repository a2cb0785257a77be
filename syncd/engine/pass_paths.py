"""The paths of a mirror in the store: files, staging, quarantine, earlier versions, removed files, journal."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PassPaths:
    """The paths that one pass of a mirror uses, all within the store."""

    mirror: str
    prefix: str
    pass_id: str

    def natural(self, path: str) -> str:
        """Return the final name of a file, the one that readers open."""
        return self.prefix + path

    def staged(self, path: str) -> str:
        """Return the path of a replacement that waits for the swap."""
        return f".syncd/staged/{self.mirror}/{self.pass_id}/{path}"

    def quarantine(self, path: str) -> str:
        """Return the path of bytes that failed verification."""
        return f".syncd/quarantine/{self.mirror}/{self.pass_id}/{path}"

    def version(self, snapshot: str, path: str) -> str:
        """Return the path of the bytes that an earlier snapshot names, after they were replaced."""
        return f".syncd/versions/{self.mirror}/{snapshot}/{path}"

    def removed(self, snapshot: str, path: str) -> str:
        """Return the path of the bytes of a removed file; `snapshot` is the last one that names it."""
        return f".syncd/removed/{self.mirror}/{snapshot}/{path}"

    @property
    def all_staged(self) -> str:
        """Return the prefix of everything that waits for a swap."""
        return f".syncd/staged/{self.mirror}/"

    @property
    def all_removed(self) -> str:
        """Return the prefix of all removed files and of their records."""
        return f".syncd/removed/{self.mirror}/"

    @property
    def journal(self) -> str:
        """Return the path of the journal of a publish."""
        return f".syncd/journal/{self.mirror}.json"


KEY_CHAIN = ".syncd/heads/keys.json"
"""Where the sets of a node's keys lie; the first of them names the first key."""


def head_path(mirror: str) -> str:
    """Return where a mirror's head lies; its signature has `.minisig` behind it."""
    return f".syncd/heads/{mirror}/head.json"


def pointer_path(mirror: str) -> str:
    """Return where a mirror's pointer lies."""
    return f".syncd/mirrors/{mirror}.json"


def snapshot_folder(mirror: str, snapshot: str) -> str:
    """Return the folder of one snapshot, with its slash."""
    return f".syncd/snapshots/{mirror}/{snapshot}/"


def shard_path(mirror: str, sha256: str) -> str:
    """Return where a shard lies."""
    return f".syncd/shards/{mirror}/{sha256}.jsonl.gz"


def origins_path(mirror: str, sha256: str) -> str:
    """Return where the origins of a shard lie."""
    return f".syncd/shards/{mirror}/{sha256}.origins.jsonl.gz"


def sums_path(mirror: str, sha256: str) -> str:
    """Return where the lines of `sha256sum` for a shard lie."""
    return f".syncd/shards/{mirror}/{sha256}.sums.gz"
