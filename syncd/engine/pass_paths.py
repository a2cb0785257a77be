"""The paths of a pass in the store: files, staged replacements, quarantine and earlier versions."""

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
