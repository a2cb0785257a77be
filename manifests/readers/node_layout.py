"""Where the documents of a mirror lie at another node: on its face, or in its store (a folder or bucket).

A face has them below `https://node/mirrors/<mirror>/`. A store has the same documents below its root, and the files of
the current Snapshot under their natural names.
"""

from typing import Protocol
from urllib.parse import quote

PLAIN = "/:@!$&'()*+,;=~"  # characters of a path that are not escaped in a url


class NodeLayout(Protocol):
    """The urls of a mirror's documents, relative to the source or absolute."""

    mirror: str
    has_differences: bool

    def head(self) -> str:
        """Return that of the head; its signature has `.minisig` behind it."""
        ...

    def keys(self) -> str:
        """Return that of the node's keys."""
        ...

    def snapshot(self, snapshot: str) -> str:
        """Return that of a `snapshot.json`."""
        ...

    def shard(self, sha256: str) -> str:
        """Return that of the lines of a shard."""
        ...

    def difference(self, snapshot: str, before: str) -> str:
        """Return that of what a Snapshot changed since another one."""
        ...

    def changed_provenance(self, snapshot: str, before: str) -> str:
        """Return that of where the files of a difference came from first."""
        ...

    def provenance(self, snapshot: str, shard: str, lists: str) -> list[str]:
        """Return those of where the files of a shard came from first; `lists` is how snapshot.json names them."""
        ...

    def file(self, snapshot: str, prefix: str, path: str) -> str:
        """Return the absolute url of a file; `prefix` is its folder in the node's store."""
        ...


class FaceLayout:
    """The documents of a node's face, at `https://node/mirrors/<mirror>/`."""

    has_differences = True

    def __init__(self, url: str) -> None:
        """`url` is that of the mirror, and ends in a slash."""
        self._url = url
        self._root, _, self.mirror = url.rstrip("/").rpartition("/mirrors/")

    def head(self) -> str:
        """Return the name of the head."""
        return "head.json"

    def keys(self) -> str:
        """Return the url of the node's keys."""
        return f"{self._root}/.well-known/syncd.json"

    def snapshot(self, snapshot: str) -> str:
        """Return the path of a `snapshot.json`."""
        return f"snapshots/{snapshot}/snapshot.json"

    def shard(self, sha256: str) -> str:
        """Return the path of a shard's lines."""
        return f"shards/{sha256}"

    def difference(self, snapshot: str, before: str) -> str:
        """Return the path of a difference."""
        return f"snapshots/{snapshot}/diff/{before}"

    def changed_provenance(self, snapshot: str, before: str) -> str:
        """Return the path of the provenance of a difference."""
        return f"snapshots/{snapshot}/diff/{before}/provenance"

    def provenance(self, snapshot: str, shard: str, lists: str) -> list[str]:  # noqa: ARG002  a face joins them
        """Return the path of the provenance of a shard."""
        return [f"snapshots/{snapshot}/provenance/{shard}"]

    def file(self, snapshot: str, prefix: str, path: str) -> str:  # noqa: ARG002  its urls hide the prefix
        """Return the url of a file of that Snapshot, which never names other bytes."""
        return f"{self._url}snapshots/{snapshot}/files/{quote(path, safe=PLAIN)}"


class StoreLayout:
    """The documents of a node's store; `url` is its root, and ends in a slash."""

    has_differences = False

    def __init__(self, url: str, mirror: str) -> None:
        """`mirror` is the mirror's name in that store."""
        self._url = url
        self._is_bucket = url.startswith("s3://")
        self.mirror = mirror

    def head(self) -> str:
        """Return the path of the head."""
        return f".syncd/heads/{self.mirror}/head.json"

    def pointer(self) -> str:
        """Return the path of the pointer, which is all that a node without a key has."""
        return f".syncd/mirrors/{self.mirror}.json"

    def keys(self) -> str:
        """Return the path of the node's keys."""
        return ".syncd/heads/keys.json"

    def snapshot(self, snapshot: str) -> str:
        """Return the path of a `snapshot.json`."""
        return f".syncd/snapshots/{self.mirror}/{snapshot}/snapshot.json"

    def shard(self, sha256: str) -> str:
        """Return the path of a shard's lines."""
        return f".syncd/shards/{self.mirror}/{sha256}.jsonl.gz"

    def difference(self, snapshot: str, before: str) -> str:
        """Raise: a store has no differences."""
        raise NotImplementedError

    def changed_provenance(self, snapshot: str, before: str) -> str:
        """Raise: a store has no differences."""
        raise NotImplementedError

    def provenance(self, snapshot: str, shard: str, lists: str) -> list[str]:  # noqa: ARG002  a store has its own lists
        """Return the paths of the Origins of a shard, the newer ones last."""
        return [f".syncd/shards/{self.mirror}/{name}.origins.jsonl.gz" for name in lists.split()]

    def file(self, snapshot: str, prefix: str, path: str) -> str:  # noqa: ARG002  a store shows the current one
        """Return the url of a file under its natural name."""
        name = prefix + path
        return self._url + (name if self._is_bucket else quote(name, safe=PLAIN))
