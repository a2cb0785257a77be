"""What is measured: each case, who takes part, and the least time its link allows."""

from dataclasses import dataclass, replace

from tests.bench.archive import Archive
from tests.bench.wire import Shape


@dataclass(frozen=True, slots=True)
class Case:
    """One piece of work. `wanted` says in words what syncd must reach."""

    name: str
    kind: str  # copy, plan or verify
    wanted: str
    peers: tuple[str, ...]
    archive: str = ""
    reader: str = "autoindex"
    shape: Shape | None = None
    keys: int = 0
    is_secure: bool = False  # served over https
    is_known: bool = False  # the Catalogue holds every key already: nothing changed


LINK = Shape()
THIN = ("rclone", "rclone-32", "aria2")
LOCAL = ("rclone-16",)
PROVED = ("rclone+sha256sum",)

CASES = {
    case.name: case
    for case in (
        Case("thin-mixed", "copy", "<= 1.3 x limit", THIN, "thin-mixed", "checksums", LINK),
        Case("thin-one", "copy", "<= 4.5 s", THIN, "thin-one", "checksums", LINK),
        Case("thin-small", "copy", "<= 9 s", THIN, "thin-small", "autoindex", LINK),
        Case("local-small", "copy", "<= 1.0 x rclone", LOCAL, "local-small"),
        Case("local-mid", "copy", "<= 1.0 x rclone", LOCAL, "local-mid"),
        Case("local-big", "copy", "<= 1.0 x rclone", LOCAL, "local-big"),
        Case("https-one", "copy", "<= 1.25 x its CPU", PROVED, "https-one", is_secure=True),
        Case("https-small", "copy", "<= 1.0 x rclone", LOCAL, "local-small", is_secure=True),
        Case("https-mid", "copy", "<= 1.25 x its CPU", PROVED, "https-mid", is_secure=True),
        Case("plan-1m", "plan", "<= 8 s, <= 256 MB", ("rclone", "rclone-size", "s5cmd"), keys=1_000_000),
        Case("same-1m", "plan", "<= 8 s, <= 256 MB", ("rclone", "s5cmd"), keys=1_000_000, is_known=True),
        Case("same-10m", "plan", "linear, same memory", ("rclone",), keys=10_000_000, is_known=True),
        Case("plan-10m", "plan", "linear, same memory", ("rclone", "rclone-size", "s5cmd"), keys=10_000_000),
        Case("verify-small", "verify", "<= 1.11 x sha256sum", ("sha256sum",), "local-small"),
        Case("verify-mid", "verify", "<= 1.11 x sha256sum", ("sha256sum",), "local-mid"),
        Case("verify-big", "verify", "<= 1.11 x sha256sum", ("sha256sum",), "local-big"),
    )
}


def quick(case: Case) -> Case:
    """Return a smaller case of the same nature; a link's rates stay, only the work shrinks."""
    if case.kind == "plan":
        return replace(case, keys=case.keys // 10)
    return case if case.archive == "thin-one" else replace(case, archive=f"{case.archive}-quick")


def limit(case: Case, archive: Archive | None) -> float | None:
    """Return the seconds that the link alone takes: all bytes at its rate, or a round trip a file on every connection."""
    if case.shape is None or archive is None:
        return None
    shape = case.shape
    return max(archive.bytes / shape.total, len(archive.sizes) * shape.rtt / shape.cap)


def manifest(case: Case, url: str, reader: str) -> str:
    """Return the mirror manifest of a case; nothing in it is tuned."""
    if case.kind == "plan":
        source = f"  url: s3://archive/\n  endpoint: {url}\n  region: us-east-1\n  reader: objects\n"
    else:
        source = f"  url: {url}/\n  reader: {reader}\n"
        source += "  checksums: [SHA256SUMS]\n" if reader == "checksums" else ""
    return f"mirror: bench\ntitle: Benchmark {case.name}\nsource:\n{source}"
