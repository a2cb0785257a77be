"""A daemon in memory that keeps the contract of `syncd.control.port.Control`, with a mirror in every state.

Not a mock: what is asked of it happens, as far as it can be seen from outside.
"""

import asyncio
import os
import time
from contextlib import asynccontextmanager

import msgspec

from manifests.messages import count, message
from manifests.model.mirror import ManifestError, load_mirror
from syncd.catalogue import UsageCell
from syncd.control import InstrumentHours
from syncd.control.acts import arguments_of
from syncd.control.job_views import ActResult, JobView, no_job
from syncd.control.node_copies import CopyView
from syncd.control.views import (
    STATES,
    AboutView,
    ChangeView,
    CheckView,
    DaemonView,
    DiffView,
    EntryView,
    ManifestView,
    MirrorView,
    OriginView,
    ParkedView,
    PlanView,
    ProblemView,
    ProgressView,
    QuarantineView,
    RejectionView,
    Sample,
    ScrubView,
    SnapshotView,
    StepView,
    StoreView,
    TransferView,
)
from syncd.core import AuditView, FailureView, LossKind, PassEvent, PassView, check_chain, message_view
from syncd.core.errors import Busy, ConfigError, NotFound
from syncd.core.events import Audited, JobEnded, PassStarted, Published
from syncd.daemon.event_bus import EventBus
from syncd.daemon.reasons import NO_REASON, because
from syncd.engine.origin_pauses import read_origin
from syncd.exchange import Agent, Node, dataset_report
from syncd.usage import read_period, usage_report

DAY = 86_400.0
# Texts are messages, as those of the program are: the Chinese page shows them in Chinese.
UNREACHABLE = message(
    "{label}: no connection to {origin} within {timeout:g} s",
    label="SHA256SUMS", origin="https://failing.example.org", timeout=10.0,
)  # fmt: skip
UNMOUNTED = message("{root}: no such folder; it was store {expected}: is it unmounted?", root="/data", expected="ab12")
MISSING, ADD = message("is missing"), message("add {key} to {path}", key="url", path="source")
REASONS = {
    "waiting": because("waits.window", window="20:00-06:00 UTC"),
    "paused": because("paused", who="ops"),
    "failing": because("failed", detail=UNREACHABLE),
    "nothing_found": because("failed", detail=message("no file was found")),
    "offline": because("store.offline", detail=UNMOUNTED),
    "rejected": because(
        "rejected",
        detail=message(
            "{file}:{line}:{column}: {where}: {what}: {todo}",
            file="rejected.yaml",
            line=3,
            column=5,
            where="source.url",
            what=MISSING,
            todo=ADD,
        ),
    ),
    "retired": because("retired"),
}


def no_such_file(path):
    return message("{label}: upstream has no such file ({status})", label=path, status=404)


def digest(number):
    return f"{number:064x}"


def _mirror(state, now):
    good = state in {"idle", "running", "waiting"}
    return MirrorView(
        name=state.replace("_", "-"),
        title=f"The {state.replace('_', '-')} archive <b>&\u202e",
        source=f"https://{state}.example.org/",
        prefix=f"{state}/",
        about=AboutView(licence="CC-BY-4.0", contact="ops@example.org", access="open"),
        manifest=f"manifests.d/{state}.yaml" if state != "retired" else "",
        state=state,
        health="good" if good else "unknown" if state == "rejected" else "stale",
        reason=str(REASONS.get(state, NO_REASON)),
        message=REASONS.get(state, NO_REASON).view(),
        snapshot="" if state == "rejected" else digest(2),
        files=0 if state == "rejected" else 12,
        bytes=0 if state == "rejected" else 12_000_000,
        succeeded=None if state == "rejected" else now - (3600 if good else 9 * DAY),
        attempted=None if state == "rejected" else now - 3600,
        next_run=now + 3600 if state in {"idle", "failing"} else None,
        fresh_within=None if state in {"rejected", "retired"} else DAY,
        backlog_files=5 if state == "running" else 0,
        backlog_bytes=5_000_000 if state == "running" else 0,
        parked=3 if state == "idle" else 0,
        parked_bytes=3_000 if state == "idle" else 0,
        failed=2 if state == "failing" else 0,
        quarantined=1 if state == "failing" else 0,
        catalogue_bytes=150_000,
        faults=1 if state == "paused" else 0,
        progress=_progress(now) if state == "running" else None,
    )


def _progress(now):
    return ProgressView(
        pass_id=7,
        began=now - 60,
        phase="transfer",
        documents=3,
        documents_known=3,
        found=17,
        files=8,
        files_done=3,
        bytes=8_000_000,
        bytes_done=3_000_000,
        rate=1_500_000.0,
        moving=2,
        transfers=(
            TransferView(path="a/big.nc", size=4_000_000, received=1_000_000),
            TransferView(path="b", size=None, received=5),
        ),
    )


class FakeControl:
    """One mirror in each state, named after it; `now` may be set."""

    def __init__(self, now=None):
        self.now = time.time() if now is None else now
        views = [_mirror(state, self.now) for state in sorted(STATES)]
        self.by_name: dict[str, MirrorView] = {one.name: one for one in views}
        self.feed = EventBus()
        self.cells = [
            UsageCell("2023-10-30", "idle", "tool", "IHEP", "cn", 30, 28, 9_000_000_000, 2, 4, 6, 2, 3),
            UsageCell("2023-11-02", "idle", "person", "", "de", 3, 3, 400_000_000, 9, 3, 12, 2, 6),
            UsageCell("2023-11-02", "running", "robot", "", "us", 50, 50, 70_000_000, 5, 0, 0, 0, 0),
        ]
        self.ready = True
        self.jobs_by_id = {}
        self.audited = []
        self.files = {name: self._files(view) for name, view in self.by_name.items()}
        self.passes_of = {name: self._passes(view) for name, view in self.by_name.items()}

    def _files(self, view):
        return [
            EntryView(
                path=f"{'abc'[n % 3]}/file{n:02}.nc",
                size=1_000_000,
                sha256=digest(n),
                xxh3=f"{n:032x}",
                verdict="verified" if n % 2 else "attested",
                by="SHA256SUMS" if n % 2 else "",
                url=f"{view.source}file{n:02}.nc",
                proved=self.now - 9 * DAY,
                checked=None if n % 4 else self.now - DAY,
            )
            for n in sorted(range(view.files), key=lambda n: ("abc"[n % 3], n))
        ]

    def _passes(self, view):
        if view.state == "rejected":
            return []
        running = view.state == "running"
        failing = view.state == "failing"
        first = PassView(
            id=6,
            mirror=view.name,
            why="schedule",
            began=self.now - DAY,
            ended=self.now - DAY + 60,
            outcome="complete",
            snapshot=digest(1),
            fetched=12,
            copied=4,
            copied_bytes=3_000_000,
            bytes=9_000_000,
            seconds=60.0,
        )
        last = PassView(
            id=7,
            mirror=view.name,
            why="asked" if running else "schedule",
            who="ops" if running else "",
            began=self.now - 3600,
            ended=None if running else self.now - 3500,
            outcome="running" if running else "failed" if failing else "complete",
            snapshot="" if running or failing else digest(2),
            kept=12,
            seconds=0.0 if running else 100.0,
            error="Unreachable" if failing else "",
            reason=view.reason if failing else "",
        )
        return [last, first]

    # -- at once

    def daemon(self):
        return DaemonView(
            version="0.1.0",
            pid=os.getpid(),
            started=self.now - DAY,
            state="running" if self.ready else "starting",
            ready=self.ready,
            running=1,
            waiting=1,
            catalogue_bytes=80_000,
            index_bytes=40_000,
            state_free=1 << 40,
        )

    def mirrors(self):
        return list(self.by_name.values())

    def mirror(self, name):
        if name not in self.by_name:
            raise NotFound(message("{name}: no such mirror here", name=name))
        return self.by_name[name]

    def manifests(self):
        found = []
        for view in self.by_name.values():
            if view.manifest:
                problems = (
                    (
                        ProblemView(
                            file=view.manifest,
                            line=3,
                            column=5,
                            where="source.url",
                            what=MISSING,
                            todo=ADD,
                        ),
                    )
                    if view.state == "rejected"
                    else ()
                )
                found.append(
                    ManifestView(
                        file=view.manifest,
                        mirror=None if problems else view.name,
                        problems=problems,
                        since=None if problems else self.now - DAY,
                    )
                )
        return found

    def access(self, name):
        return self.by_name[name].access if name in self.by_name else "private"

    def check(self, text, *, alone=False):
        try:
            mirror = load_mirror(text, "manifest")
        except ManifestError as error:
            return CheckView(
                problems=tuple(
                    ProblemView(file=p.file, line=p.line, column=p.column, where=p.where, what=p.what, todo=p.todo)
                    for p in error.problems
                )
            )
        return CheckView(mirror=mirror.name)

    def origins(self):
        return [
            OriginView(origin="https://failing.example.org", limit=2, active=0, throttled_until=self.now + 30),
            OriginView(origin="https://running.example.org", limit=24, active=2, rate=1_500_000.0),
        ]

    def scrubs(self):
        return [
            ScrubView(
                mirror=view.name,
                within=30 * DAY,
                files=view.files,
                bytes=view.bytes,
                oldest=self.now - 9 * DAY,
                covered=0.75,
                rate=4e6,
                running=view.state == "idle",
                faults=view.faults,
            )
            for view in self.by_name.values()
            if view.files
        ]

    def store(self):
        return StoreView(url="/data/mirror", state="online", free=1 << 40, since=self.now - DAY, backup=self.now - 3600)

    def series(self, name=None):
        if name is not None:
            self.mirror(name)
        return [
            Sample(at=self.now - 300 * n, rate=1e6 * (n % 5), backlog_files=n, backlog_bytes=n * 1000)
            for n in range(60, 0, -1)
        ]

    # -- awaited

    async def plan(self, name, *, limit=100):
        view = self.mirror(name)
        if view.state == "running":
            raise Busy(message("{name}: a pass is under way", name=name))
        return self._plan(name, limit)

    async def plan_text(self, text, *, limit=100):
        found = await asyncio.to_thread(self.check, text)
        if found.problems:
            raise ConfigError(
                "\n".join(f"{p.file}:{p.line}:{p.column}: {p.where}: {p.what}: {p.todo}" for p in found.problems)
            )
        return self._plan(found.mirror, limit)

    def _plan(self, name, limit):
        steps = [
            StepView(
                action="fetch",
                path=f"new/{n}",
                reason=message("new upstream"),
                bytes=1000,
                copy_of="" if n else "other: 0/a",
            )
            for n in range(250)
        ]
        return PlanView(
            mirror=name,
            complete=True,
            fetch=250,
            keep=12,
            copy=7,
            copy_bytes=7_000,
            moved=5,
            bytes=243_000,
            free=1 << 40,
            steps=tuple(steps[:limit]),
            cut=limit < 250,
        )

    async def passes(self, name=None, *, before=None, limit=50):
        if name is not None:
            self.mirror(name)
        found = [one for mirror, passes in self.passes_of.items() if name in (None, mirror) for one in passes]
        found.sort(key=lambda one: -one.id)
        return [one for one in found if before is None or one.id < before][:limit]

    async def pass_events(self, name, pass_id, *, after=0, limit=200):
        if pass_id not in [one.id for one in await self.passes(name)]:
            raise NotFound(message("{name}: no pass {pass_id}, or its record has expired", name=name, pass_id=pass_id))
        found = [
            PassEvent(id=1, at=self.now - 3600, level="info", event="survey_started", text=message("surveys upstream")),
            PassEvent(id=2, at=self.now - 3590, level="info", event="planned", text=message("{n:,} kept", n=12)),
            PassEvent(
                id=3,
                at=self.now - 3580,
                level="warning",
                event="transfer_failed",
                path="a/<b>.nc",
                text=no_such_file("a/<b>.nc"),
            ),
        ]
        return [one for one in found if one.id > after][:limit]

    async def entries(self, name, *, prefix="", after="", limit=200):
        self.mirror(name)
        return [one for one in self.files[name] if one.path.startswith(prefix) and one.path > after][:limit]

    async def entry(self, name, path):
        self.mirror(name)
        for one in self.files[name]:
            if one.path == path:
                return one
        raise NotFound(message("{path}: not in {mirror}", path=path, mirror=name))

    async def snapshots(self, name):
        view = self.mirror(name)
        if not view.snapshot:
            return []
        return [
            SnapshotView(
                id=digest(2),
                created=self.now - 3600,
                files=12,
                bytes=12_000_000,
                previous=digest(1),
                source=view.source,
                current=True,
            ),
            SnapshotView(
                id=digest(1),
                created=self.now - DAY,
                files=11,
                bytes=11_000_000,
                previous="",
                source=view.source,
                current=False,
            ),
        ]

    async def copies(self, name):
        view = self.mirror(name)
        if not view.snapshot:
            return []
        error = message("publishes no head of this mirror")
        return [
            CopyView(node="cn-here", role="here", snapshot=view.snapshot, is_same=True, upstream_checked=view.succeeded),
            CopyView(
                node="de-near", role="peer", url="https://de.example.org/mirrors/idle/", snapshot=view.snapshot,
                is_same=True, upstream_checked=self.now - 7200, answered=self.now - 60, via=("cn-here",), is_proved=True,
            ),
            CopyView(
                node="us-far", role="peer", url="https://us.example.org/mirrors/idle/", snapshot=digest(1),
                upstream_checked=self.now - 3 * DAY, answered=self.now - 2 * DAY, via=("cn-here", "de-near"),
                error=str(error), message=message_view(error),
            ),
        ]  # fmt: skip

    async def diff(self, name, before, after, *, limit=1000, content=False):
        ids = [one.id for one in await self.snapshots(name)]
        for wanted in (before, after):
            if sum(one.startswith(wanted) for one in ids) != 1:
                raise NotFound(
                    message(
                        "{wanted}: give at least four characters of the id of one snapshot; {name} keeps {ids}",
                        wanted=wanted,
                        name=name,
                        ids=ids,
                    )
                )
        changes = (
            (ChangeView(path="a/file00.nc", change="added", size_after=1_000_000, sha256_after=digest(0)),)
            if before != after
            else ()
        )
        return DiffView(mirror=name, before=before, after=after, count=len(changes), changes=changes[:limit])

    async def quarantine(self, name, *, limit=1000):
        view = self.mirror(name)
        one = QuarantineView(
            mirror=name,
            path="bad.nc",
            place=f".syncd/quarantine/{name}/77/bad.nc",
            error="Mismatch",
            reason=message(
                "{path}: {algorithm} {promised} promised, {arrived} arrived{page}",
                path="bad.nc",
                algorithm="sha256",
                promised="00",
                arrived="11",
                page="",
            ),
            at=self.now - 3600,
        )
        return [one][: min(view.quarantined, limit)]

    async def parked(self, name, *, after="", limit=1000):
        kinds: tuple[tuple[LossKind, int | None], ...] = (("deleted", None), ("shrunk", 10), ("emptied", 0))
        found = [
            ParkedView(path=f"old/{n}", bytes=1000, kind=kinds[n % 3][0], new_bytes=kinds[n % 3][1])
            for n in range(self.mirror(name).parked)
        ]
        return [one for one in found if one.path > after][:limit]

    async def rejections(self, name, *, after="", limit=1000):
        view = self.mirror(name)
        found = [
            RejectionView(path=f"kept/{n}.nc", kind="deleted", bytes=1_000, who="ada", at=self.now - DAY)
            for n in range(view.rejected)
        ]
        return [one for one in found if one.path > after][:limit]

    async def failures(self, name, *, after="", limit=1000):
        paths = ["bad.nc", "gone.nc"][: self.mirror(name).failed]
        return [
            FailureView(path=path, error="NotFound", reason=no_such_file(path), at=self.now - 3600)
            for path in paths
            if path > after
        ][:limit]

    async def audit(self, *, before=None, limit=100, after=None, since=None, until=None, mirror="", act=""):
        ordered = self.audited if after is not None else reversed(self.audited)
        return [
            one
            for one in ordered
            if (before is None or one.id < before)
            and (after is None or one.id > after)
            and (since is None or one.at >= since)
            and (until is None or one.at < until)
            and (not mirror or one.mirror == mirror)
            and (not act or one.what == act)
        ][:limit]

    async def check_audit(self):
        return check_chain(self.audited)

    async def usage(self, first="", last="", by="mirror", *, mirrors=None):
        period = read_period(first, last, self.now)
        cells = [one for one in self.cells if period.first <= one.day <= period.last]
        fetched = [("idle", "2023-10-02", 4_000_000_000), ("idle", "2023-11-02", 1_000_000_000)]
        hours = [InstrumentHours(mirror="telescope", month="2023-11", hours=412.5)]
        fetched = [one for one in fetched if period.first <= one[1] <= period.last]
        sees = frozenset(mirrors).__contains__ if mirrors is not None else None
        return usage_report(period, by, cells, (), fetched, hours, "cn", sees)

    async def dataset_report(self, first="", last="", *, mirrors=None):
        period = read_period(first, last, self.now)
        node = Node("cn-demo", "https://data.example.org/", Agent({"en": "Demo"}))
        return dataset_report(node, (), *period, self.now)

    # -- what changes something

    async def sync(self, name, who):
        view = self.mirror(name)
        if view.state in {"paused", "offline", "rejected", "retired"}:
            raise self._refused(
                who, "sync", name, message("{name}: cannot be synced now: {why}", name=name, why=view.reason)
            )
        if view.state == "running":
            return self._written(who, "sync", name, message("a pass is under way already"))
        self._change(name, state="running", progress=_progress(self.now))
        self.feed(PassStarted(name, 8, "asked", who))
        return self._written(who, "sync", name, message("a pass begins as soon as there is room"))

    async def pause(self, name, who):
        if self.mirror(name).state == "paused":
            return self._written(who, "pause", name, message("was paused by {paused} already", paused="ops"))
        self._change(
            name,
            state="paused",
            reason=str(because("paused", who=who)),
            message=because("paused", who=who).view(),
            progress=None,
        )
        return self._written(who, "pause", name, message("paused"))

    async def resume(self, name, who):
        if self.mirror(name).state != "paused":
            return self._written(who, "resume", name, message("was not paused"))
        self._change(name, state="idle", reason="")
        return self._written(who, "resume", name, message("resumed"))

    async def approve(self, name, who):
        number = self.mirror(name).parked
        if not number:
            raise self._refused(who, "approve", name, message("{name}: nothing is held for approval", name=name))
        self._change(name, parked=0, parked_bytes=0)
        return self._written(who, "approve", name, count(number, "{n} loss approved", "{n:,} losses approved"))

    async def reject(self, name, who):
        number = self.mirror(name).parked
        if not number:
            raise self._refused(who, "reject", name, message("{name}: nothing is held for approval", name=name))
        self._change(name, parked=0, parked_bytes=0)
        return self._written(who, "reject", name, count(number, "{n} loss rejected", "{n:,} losses rejected"))

    async def unpin(self, name, path, who):
        self.mirror(name)
        if path != "100.dat":
            raise NotFound(f"{path}: is not pinned in {name}")
        return self._written(who, "unpin", name, f"{path} is unpinned")

    async def tombstones(self):
        return []

    async def tag(self, name, snapshot, tag, who):
        ids = [one.id for one in await self.snapshots(name) if one.id.startswith(snapshot)]
        if len(ids) != 1:
            raise NotFound(message("{name}: no snapshot is kept", name=name))
        return self._written(who, "tag", name, f"snapshot {snapshot} is {tag}")

    async def untag(self, name, tag, who):
        self.mirror(name)
        if tag != "v1":
            raise NotFound(message("{name}: no snapshot is kept", name=name))
        return self._written(who, "untag", name, f"the tag {tag} is removed")

    async def restore(self, name, path, snapshot, who):
        self.mirror(name)
        if path != "100.dat":
            raise NotFound(f"{path}: snapshot {snapshot} of {name} has no such file")
        return self._written(who, "restore", name, f"{path} is restored; snapshot {snapshot}")

    async def cancel(self, name, who):
        if self.mirror(name).state != "running":
            raise self._refused(who, "cancel", name, message("{name}: no pass is under way", name=name))
        self._change(name, state="idle", progress=None)
        self.feed(Published(name, digest(2), 12, 12_000_000, changed=False))
        return self._written(who, "cancel", name, message("stops, and publishes its proved files"))

    async def pause_origin(self, origin, until, who):
        return self._written(who, "pause origin", "", message("{origin} is resumed", origin=read_origin(origin)))

    async def resume_origin(self, origin, who):
        return self._written(who, "resume origin", "", message("{origin} is resumed", origin=read_origin(origin)))

    async def limit_origin(self, origin, rate, who):
        return self._written(who, "limit origin", "", message("{origin} is resumed", origin=read_origin(origin)))

    async def perform(self, act, who):
        if act.name != "forget":
            self.mirror(act.mirror)
        entry = self._written(who, act.what, act.mirror, message("done"))
        job = JobView(
            id=len(self.jobs_by_id) + 1, act=act.name, mirror=act.mirror, arguments=arguments_of(act), who=str(who),
            state="done" if act.name != "verify" else "running", asked=self.now, began=self.now,
            ended=self.now if act.name != "verify" else None, code=0,
            result=None if act.name == "verify" else ActResult(outcome=entry.outcome, lines=(f"{act.mirror}: done",)),
        )  # fmt: skip
        self.jobs_by_id[job.id] = job
        self.feed(JobEnded(act.mirror, job.id, act.name, job.state))
        return job

    async def jobs(self, name="", *, before=None, limit=50):
        found = [job for job in reversed(self.jobs_by_id.values()) if name in ("", job.mirror)]
        return [job for job in found if before is None or job.id < before][:limit]

    async def job(self, number, *, wait=0.0):
        if number not in self.jobs_by_id:
            raise no_job(number)
        return self.jobs_by_id[number]

    async def cancel_job(self, number, who):
        job = await self.job(number)
        if job.has_ended:
            raise Busy(message("job {number}: has ended: {state}", number=number, state=job.state))
        self.jobs_by_id[number] = msgspec.structs.replace(job, state="cancelled", ended=self.now)
        return self.jobs_by_id[number]

    def _change(self, name, **fields):
        self.by_name[name] = msgspec.structs.replace(self.by_name[name], **fields)

    def _written(self, who, what, name, outcome):
        who = str(who)
        entry = AuditView(id=len(self.audited) + 1, at=self.now, who=who, what=what, mirror=name, outcome=outcome)
        self.audited.append(entry)
        self.feed(Audited(name, str(who), what, outcome))
        return entry

    def _refused(self, who, what, name, reason):
        self._written(who, what, name, message("refused: {reason}", reason=reason))
        return Busy(reason)

    # -- what happens

    @asynccontextmanager
    async def subscribe(self):
        with self.feed.subscribed() as subscription:
            yield aiter(subscription)
