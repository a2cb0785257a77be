"""A daemon in memory with a believable fleet, for the pictures in the documentation: a day of curves, all that can be seen."""

import math
import random

from syncd.control.views import (
    AboutView,
    EntryView,
    MirrorView,
    ParkedView,
    ProgressView,
    QuarantineView,
    Sample,
    ScrubView,
    SnapshotView,
    StoreView,
    TransferView,
)
from syncd.core import FailureView, PassView
from tests.fakes_control import DAY, FakeControl

H = 3600.0
GB, MB = 10**9, 10**6

# name, title, source, state, health, files, bytes, hours since it was complete, goal in hours, minutes to the next pass, rate
FLEET = [
    ("era5-land", "ERA5-Land, hourly", "https://cds.climate.copernicus.eu/era5-land/", "running", "good", 412_806, 61_200 * GB, 5, 24, None, 96 * MB),
    ("gbif-backbone", "GBIF Backbone Taxonomy", "https://hosted-datasets.gbif.org/datasets/backbone/", "idle", "good", 1_204, 38 * GB, 3, 48, 190, 4 * MB),
    ("kcdb", "BIPM key comparison database", "https://www.bipm.org/kcdb/", "idle", "good", 26_411, 9 * GB, 1, 12, 305, 0),
    ("landsat-c2", "Landsat Collection 2, Level 1", "s3://usgs-landsat/collection02/", "running", "good", 2_918_440, 212_000 * GB, 9, 24, None, 148 * MB),
    ("ncbi-refseq", "NCBI RefSeq, bacteria", "https://ftp.ncbi.nlm.nih.gov/refseq/release/bacteria/", "idle", "degraded", 88_190, 2_140 * GB, 7, 24, 42, 12 * MB),
    ("physionet-mitdb", "MIT-BIH Arrhythmia Database", "https://physionet.org/files/mitdb/1.0.0/", "idle", "good", 198, 104 * MB, 2, 12, 238, 0),
    ("sentinel-orbits", "Sentinel-1 precise orbits", "https://step.esa.int/auxdata/orbits/Sentinel-1/", "failing", "stale", 9_877, 41 * GB, 31, 24, 18, 1 * MB),
    ("who-mortality", "WHO Mortality Database", "https://www.who.int/data/mortality/", "paused", "good", 61, 2 * GB, 20, 168, None, 0),
]  # fmt: skip


def hexes(seed, count):
    return random.Random(seed).randbytes(count // 2).hex()


class SampleFleet(FakeControl):
    """The fleet of a research centre, on some afternoon."""

    def __init__(self, now):
        super().__init__(now)
        self.rates = {row[0]: row[-1] for row in FLEET}
        self.by_name = {row[0]: self._view(*row) for row in FLEET}
        self.files = {name: self._entries(view) for name, view in self.by_name.items()}
        self.passes_of = {name: self._history(view) for name, view in self.by_name.items()}

    def _view(self, name, title, source, state, health, files, size, age, goal, due, rate):
        parked = 1_312 if name == "ncbi-refseq" else 0
        return MirrorView(
            name=name, title=title, source=source, prefix=f"{name}/", manifest=f"/etc/syncd/manifests.d/{name}.yaml",
            about=AboutView(licence="CC-BY-4.0", citation=f"{title}, accessed through this mirror", contact="data@example.org", access="open"),
            state=state, health=health, snapshot=hexes(name, 64), files=files, bytes=size,
            reason={"failing": "https://step.esa.int: nobody answered at 195.20.254.61:443", "paused": "paused by anna"}.get(state, ""),
            succeeded=self.now - age * H + 240, attempted=self.now - min(age, 1) * H, fresh_within=goal * H,
            next_run=self.now + due * 60 if due is not None else None,
            parked=parked, parked_bytes=parked * 31 * MB, failed=3 if parked else 0, quarantined=2 if parked else 0,
            backlog_files=1_204 if state == "running" else 0, backlog_bytes=312 * GB if state == "running" else 0,
            progress=self._moving(name, rate) if state == "running" else None,
        )  # fmt: skip

    def _moving(self, name, rate):
        chance = random.Random(name)
        files = [
            (f"2026/06/{day:02}/ERA5L_{var}_202606{day:02}.nc", 268 * MB)
            for day in (11, 12, 13)
            for var in ("t2m", "tp", "swvl1")
        ]
        moving = tuple(
            TransferView(path=path, size=size, received=int(size * chance.uniform(0.08, 0.97)))
            for path, size in files[:7]
        )
        return ProgressView(
            pass_id=412, began=self.now - 3_940, phase="transfer", documents=24, documents_known=24, found=412_806,
            files=3_020, files_done=1_816, bytes=790 * GB, bytes_done=478 * GB, rate=float(rate), moving=len(moving), transfers=moving,
        )  # fmt: skip

    def _entries(self, view):
        if view.name != "era5-land":
            return super()._files(view) if view.files < 300 else []
        return sorted(
            (
                EntryView(
                    path=f"2026/{month:02}/{day:02}/ERA5L_{var}_2026{month:02}{day:02}.nc", size=268 * MB - day * 7_919,
                    sha256=hexes(f"{month}{day}{var}", 64), xxh3=hexes(f"{day}{var}", 32),
                    verdict="attested" if var == "tp" else "verified", by="" if var == "tp" else "SHA256SUMS",
                    url=f"{view.source}2026/{month:02}/{day:02}/ERA5L_{var}.nc", proved=self.now - 9 * DAY, checked=self.now - DAY,
                )
                for month in (5, 6) for day in range(1, 29) for var in ("swvl1", "t2m", "tp")
            ),
            key=lambda one: one.path,
        )  # fmt: skip

    def _history(self, view):
        chance = random.Random(view.name)
        found = []
        for n in range(8):
            began = self.now - (n * 6 + 1) * H
            running, failing = n == 0 and view.state == "running", n == 0 and view.state == "failing"
            bad = n == 3 or (n == 0 and view.parked > 0)
            size = chance.randrange(4, 400) * GB // 10
            found.append(
                PassView(
                    id=412 - n, mirror=view.name, why="asked" if n == 2 else "schedule", who="anna" if n == 2 else "", began=began,
                    ended=None if running else began + chance.randrange(200, 5_000),
                    outcome="running" if running else "failed" if failing else "incomplete" if bad else "complete",
                    snapshot="" if running else hexes(f"{view.name}{n}", 64), fetched=0 if running else chance.randrange(20, 900),
                    replaced=chance.randrange(0, 9), kept=view.files, removed=chance.randrange(0, 4), failed=3 if bad else 0,
                    bytes=0 if running else size, seconds=900.0, error="Unreachable" if failing else "",
                    reason="3 files failed" if bad else view.reason if failing else "",
                )
            )  # fmt: skip
        return found

    def mirror(self, name):
        return super().mirror(name)

    def manifests(self):
        return []

    def store(self):
        return StoreView(
            url="s3://research-mirrors/",
            state="online",
            free=184 * 10**12,
            since=self.now - 40 * DAY,
            backup=self.now - H,
        )

    def daemon(self):
        found = super().daemon()
        return type(found)(
            version=found.version, pid=1, started=self.now - 41 * DAY, state="running", ready=True, running=2
        )

    def scrubs(self):
        return [
            ScrubView(
                mirror=name,
                within=30 * DAY,
                files=view.files,
                bytes=view.bytes,
                covered=0.97,
                rate=38e6,
                oldest=self.now - 29 * DAY,
            )
            for name, view in self.by_name.items()
        ]

    def series(self, name=None):
        rate = self.rates[name] if name is not None else sum(self.rates.values())
        chance, found = random.Random(name), []
        phase = chance.uniform(0, 6)
        for n in range(288, 0, -1):
            wave = max(0.0, math.sin(n / 288 * 2 * math.pi * (1.6 + phase / 6) + phase)) ** 0.7
            busy = wave * chance.uniform(0.82, 1.06)
            at = self.now - n * 300
            found.append(
                Sample(at=at, rate=rate * busy, backlog_files=int(3_900 * wave), backlog_bytes=int(900 * GB * wave))
            )
        return found

    async def snapshots(self, name):
        view = self.mirror(name)
        return [
            SnapshotView(
                id=hexes(f"{name}" if n == 0 else f"{name} {n}", 64), created=self.now - (n * 6 + 1) * H, files=view.files - n * 214,
                bytes=view.bytes - n * 38 * GB, previous=hexes(f"{name} {n + 1}", 64), source=view.source, current=n == 0,
            )
            for n in range(3)
        ]  # fmt: skip

    async def copies(self, name):
        return []

    async def parked(self, name, *, after="", limit=1000):
        count = min(limit, self.mirror(name).parked)
        return [ParkedView(path=f"bacteria.{1_200 + n}.genomic.gbff.gz", bytes=31 * MB) for n in range(count)]

    async def failures(self, name, *, after="", limit=1000):
        if not self.mirror(name).failed:
            return []
        one, other = hexes("one", 64), hexes("other", 64)
        return [
            FailureView(path="bacteria.311.protein.faa.gz", error="Mismatch", at=self.now - H, quarantined=f".syncd/quarantine/{name}/19c2/bacteria.311.protein.faa.gz",
                        reason=f"bacteria.311.protein.faa.gz: md5 {one[:32]} promised, {other[:32]} arrived"),
            FailureView(path="bacteria.87.rna.fna.gz", error="NotFound", at=self.now - H, reason="bacteria.87.rna.fna.gz: upstream has no such file (404)"),
            FailureView(path="bacteria.902.genomic.fna.gz", error="Stalled", at=self.now - H, reason="bacteria.902.genomic.fna.gz: 2.1 kB/s over 60 s, the floor is 10 kB/s"),
        ][:limit]  # fmt: skip

    async def quarantine(self, name, *, limit=1000):
        return [
            QuarantineView(mirror=name, path="bacteria.311.protein.faa.gz", place=f".syncd/quarantine/{name}/{place}/bacteria.311.protein.faa.gz",
                           error="Mismatch", reason="bacteria.311.protein.faa.gz: the md5 that upstream promised is another", at=self.now - at * H)
            for place, at in (("19c2", 1), ("0b7f", 7))
        ] if self.mirror(name).quarantined else []  # fmt: skip
