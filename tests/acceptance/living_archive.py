"""An archive that goes on living while it is mirrored; what it ever published is remembered."""

import hashlib

SUMS = "SHA256SUMS"
MANIFEST = """
mirror: scenes
source: {{url: "{origin}/", reader: checksums, checksums: [SHA256SUMS]}}
guard: {{max_removed: 100}}
"""


class LivingArchive:
    """Files below `root`; `truth` has the digests of all that a path ever was, `bytes` how much that is."""

    def __init__(self, root, chance):
        self.root, self.chance, self.truth, self.bytes = root, chance, {}, 0
        for n in range(60):
            self.publish(f"small/{n % 5}/s{n:03}.dat", chance.randrange(0, 60_000))
        for n in range(6):
            self.publish(f"large/l{n}.tif", chance.randrange(9 << 20, 20 << 20))
        self.publish_sums()

    def publish(self, path, size):
        """Put a new file of `size` random bytes in its place."""
        self._put(path, self.chance.randbytes(size))

    def publish_sums(self):
        """Publish the list of all that is there."""
        lines = [
            f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(self.root).as_posix()}"
            for p in sorted(self.root.rglob("*"))
            if p.is_file() and p.name != SUMS
        ]
        self._put(SUMS, ("\n".join(lines) + "\n").encode())

    def change(self):
        """Replace a large file."""
        self.publish(f"large/l{self.chance.randrange(6)}.tif", 12 << 20)
        self.publish_sums()

    def grow(self, number):
        """Replace a large and a small file, and add a small one."""
        self.publish(f"small/{number % 5}/s{number:03}.dat", 5000)
        self.publish(f"small/new/n{number}.dat", 5000)
        self.change()

    def _put(self, path, content):
        """Atomically, as publishers should."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        (self.root.parent / "new").write_bytes(content)
        (self.root.parent / "new").replace(file)
        self.truth.setdefault(path, set()).add(hashlib.sha256(content).hexdigest())
        self.bytes += len(content)
