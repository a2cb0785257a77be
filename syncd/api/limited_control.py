"""Control for a caller who may not see every mirror: strangers, partners, and tokens that are limited to some mirrors.

Rules:
1. A mirror that the caller may not see does not exist: each answer is that for an unknown name, and takes the same way.
2. Of a published mirror everybody sees the description. Names of files, and texts that may have them, are for those who
   may read the list of its files.
3. Actions need a token that is good for the mirror.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar, cast

import msgspec

from manifests.access import STATUS, Answer, Caller, Level, Part, admits
from manifests.messages import message
from manifests.origins import origin_of
from syncd.api.errors import HttpError
from syncd.control import (
    Act,
    CheckView,
    Control,
    CopyView,
    DaemonView,
    DiffView,
    JobView,
    ManifestView,
    MirrorView,
    OriginView,
    PlanView,
    Sample,
    ScrubView,
    StoreView,
    TombstoneView,
    UsageBy,
    UsageReport,
    no_job,
)
from syncd.core import AuditVerdict, AuditView, Event, NotFound, PassView

Found = TypeVar("Found")
LISTING = frozenset({"entries", "entry", "quarantine", "parked", "rejections", "failures", "pass_events", "plan"})
DESCRIPTION = frozenset({"snapshots"})
ACTIONS = frozenset({"sync", "pause", "resume", "approve", "reject", "unpin", "restore", "tag", "untag", "cancel"})
ROUNDS = 50  # pages of a list that are read for one page of what the caller may see


def limited_control(control: Control, caller: Caller) -> Control:
    """Return `control` as the caller may see it."""
    return cast("Control", LimitedControl(control, caller))


class LimitedControl:
    """Has the mirrors that the caller may see, and nothing else."""

    def __init__(self, control: Control, caller: Caller) -> None:
        self._control = control
        self._caller = caller
        self._is_staff = caller.role in {"reader", "steward", "operator"}

    def __getattr__(self, name: str) -> Any:
        """Return a query or an action of one mirror, once the caller may do that."""
        method = getattr(self._control, name)
        if name in ACTIONS:
            return self._checked(method, self._act_on)
        if name in LISTING:
            return self._checked(method, lambda mirror: self._check(mirror, "listing"))
        if name in DESCRIPTION:
            return self._checked(method, lambda mirror: self._check(mirror, "metadata"))
        raise AttributeError(name)  # what is not named here is not for everybody

    # -- what concerns the whole daemon

    def daemon(self) -> DaemonView:
        """Return the state of the daemon, without numbers of mirrors."""
        return msgspec.structs.replace(self._control.daemon(), running=0, waiting=0, bytes_in_flight=0)

    def store(self) -> StoreView:
        """Return the state of the store; where it lies is not for everybody."""
        found = self._control.store()
        return found if self._is_staff else msgspec.structs.replace(found, url="", reason="", message=None, free=None)

    def check(self, text: str) -> CheckView:
        """Validate a manifest by itself: other mirrors, and the configuration, are not asked."""
        return self._control.check(text, alone=True)

    async def plan_text(self, text: str, *, limit: int = 100) -> PlanView:  # noqa: ARG002  as the port has it
        """Refuse: the manifest may name anything of the daemon's configuration."""
        raise _refused("denied")

    def origins(self) -> Sequence[OriginView]:
        """Return the origins of the mirrors that the token is good for."""
        ours = {origin_of(one.source) for one in self._control.mirrors() if self._is_staff_of(one.name) and one.source}
        return [one for one in self._control.origins() if one.origin in ours]

    def manifests(self) -> Sequence[ManifestView]:
        """Return the manifest files of the mirrors that the token is good for."""
        return [one for one in self._control.manifests() if one.mirror and self._is_staff_of(one.mirror)]

    async def usage(self, first: str = "", last: str = "", by: UsageBy = "mirror") -> UsageReport:
        """Return what was given of the mirrors that the token is good for."""
        return await self._control.usage(first, last, by, mirrors=self._ours())

    async def dataset_report(self, first: str = "", last: str = "") -> bytes:
        """Return the dataset report of the mirrors that the token is good for."""
        return await self._control.dataset_report(first, last, mirrors=self._ours())

    def _ours(self) -> list[str]:
        return [one.name for one in self._control.mirrors() if self._is_staff_of(one.name)]

    # -- what concerns mirrors

    def access(self, name: str) -> Level:
        """Return how open a mirror is, if the caller may see it."""
        level = self._control.access(name)
        return level if self._admits(name, level, "metadata") == "allowed" else "private"

    def mirrors(self) -> Sequence[MirrorView]:
        """Return the mirrors that the caller may see."""
        return [
            self._shown(one)
            for one in self._control.mirrors()
            if self._admits(one.name, one.access, "metadata") == "allowed"
        ]

    def mirror(self, name: str) -> MirrorView:
        """Return one mirror."""
        return self._shown(self._check(name, "metadata"))

    def scrubs(self) -> Sequence[ScrubView]:
        """Return the progress of the fixity checks."""
        seen = {one.name for one in self.mirrors()}
        return [one for one in self._control.scrubs() if one.mirror in seen]

    def series(self, name: str | None = None) -> Sequence[Sample]:
        """Return the last 24 hours of one mirror; of all together nothing, since that has the others too."""
        if name is None:
            return []
        self._check(name, "metadata")
        return self._control.series(name)

    async def passes(self, name: str | None = None, *, before: int | None = None, limit: int = 50) -> list[PassView]:
        """Return passes, the newest first."""
        if name is not None:
            view = self._check(name, "metadata")
            found = await self._control.passes(name, before=before, limit=limit)
            return [self._shown_pass(view, one) for one in found]
        seen = {one.name: one for one in self.mirrors()}
        found = await _filtered(self._control.passes, lambda one: one.mirror in seen, before, limit)
        return [self._shown_pass(seen[one.mirror], one) for one in found]

    async def copies(self, name: str) -> list[CopyView]:
        """Return the copies of a mirror; where other nodes are, and why one is not reached, is for staff."""
        self._check(name, "metadata")
        found = await self._control.copies(name)
        if self._is_staff_of(name):
            return found
        hidden = {"url": "", "error": "", "message": None}
        return [one if one.role == "here" else msgspec.structs.replace(one, **hidden) for one in found]

    async def tombstones(self) -> list[TombstoneView]:
        """Return what was public: everybody may know that it no longer is."""
        return await self._control.tombstones()

    async def diff(self, name: str, before: str, after: str, *, limit: int = 1000, content: bool = False) -> DiffView:
        """Compare two kept snapshots; the content of files only for those who may read their bytes."""
        self._check(name, "listing")
        may_read = self._admits(name, self._control.access(name), "bytes") == "allowed"
        return await self._control.diff(name, before, after, limit=limit, content=content and may_read)

    async def audit(
        self, *, before: int | None = None, limit: int = 100, after: int | None = None, **chosen: Any
    ) -> list[AuditView]:
        """Return the entries about the mirrors that the token is good for."""
        place = "before" if after is None else "after"
        return await _filtered(
            partial(self._control.audit, **chosen),
            lambda one: self._is_staff_of(one.mirror),
            before if after is None else after,
            limit,
            place,
        )

    async def check_audit(self) -> AuditVerdict:
        """Refuse: the whole log is not for everybody."""
        raise _refused("denied")

    async def pause_origin(self, origin: str, until: float, who: str) -> AuditView:  # noqa: ARG002  as the port
        """Refuse: other mirrors read from there, too."""
        raise _refused("denied")

    async def resume_origin(self, origin: str, who: str) -> AuditView:  # noqa: ARG002  as the port
        """Refuse, as above."""
        raise _refused("denied")

    async def limit_origin(self, origin: str, rate: float | None, who: str) -> AuditView:  # noqa: ARG002  as the port
        """Refuse, as above."""
        raise _refused("denied")

    # -- jobs

    async def perform(self, act: Act, who: str) -> JobView:
        """Start a job on a mirror that the token is good for."""
        self._act_on(act.mirror)
        return await self._control.perform(act, who)

    async def jobs(self, name: str = "", *, before: int | None = None, limit: int = 50) -> list[JobView]:
        """Return the jobs of the mirrors that the token is good for."""
        if name:
            self._act_on(name)
            return await self._control.jobs(name, before=before, limit=limit)
        return await _filtered(self._control.jobs, lambda one: self._is_staff_of(one.mirror), before, limit)

    async def job(self, number: int, *, wait: float = 0.0) -> JobView:
        """Return a job of a mirror that the token is good for."""
        if not self._is_staff_of((await self._control.job(number)).mirror):
            raise no_job(number)
        return await self._control.job(number, wait=wait)

    async def cancel_job(self, number: int, who: str) -> JobView:
        """Stop a job of a mirror that the token is good for."""
        if not self._is_staff_of((await self._control.job(number)).mirror):
            raise no_job(number)
        return await self._control.cancel_job(number, who)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[AsyncIterator[Event]]:
        """Subscribe to the events that the caller may see."""
        async with self._control.subscribe() as events:
            yield (event async for event in events if self.sees_events(event.mirror))

    def sees_events(self, mirror: str) -> bool:
        """Return True if the caller may see the events of a mirror; those of no mirror may name any."""
        return bool(mirror) and self._admits(mirror, self._control.access(mirror), "listing") == "allowed"

    # -- decisions

    def _is_staff_of(self, name: str) -> bool:
        return self._is_staff and bool(name) and self._caller.names(name)

    def _admits(self, name: str, level: Level, part: Part) -> Answer:
        return admits(self._caller, name, level, part)

    def _check(self, name: str, part: Part) -> MirrorView:
        """Return the mirror if the caller may read a part of it; raises as for an unknown name, or HttpError."""
        answer = self._admits(name, self._control.access(name), part)  # an unknown name is as a private mirror
        if answer == "absent":
            raise _unknown(name)
        if answer != "allowed":
            raise _refused(answer)
        try:
            return self._control.mirror(name)
        except NotFound:
            raise _unknown(name) from None

    def _act_on(self, name: str) -> None:
        self._check(name, "metadata")
        if not self._is_staff_of(name):
            raise _refused("denied")

    def _checked(self, method: Callable[..., Awaitable[Found]], check: Callable[[str], object]) -> Any:
        async def checked(name: str, *given: Any, **named: Any) -> Found:
            check(name)
            return await method(name, *given, **named)

        return checked

    def _shown(self, view: MirrorView) -> MirrorView:
        """Return a view without what only those may see who may read the list of files."""
        if self._is_staff_of(view.name):
            return view
        progress, last = view.progress, view.last
        return msgspec.structs.replace(
            view,
            manifest="",
            reason="",
            message=None,
            progress=msgspec.structs.replace(progress, transfers=()) if progress is not None else None,
            last=self._shown_pass(view, last) if last is not None else None,
        )

    def _shown_pass(self, view: MirrorView, one: PassView) -> PassView:
        if self._is_staff_of(view.name):
            return one
        return msgspec.structs.replace(one, who="", reason="", message=None)


def _unknown(name: str) -> NotFound:
    return NotFound(message("{name}: no such mirror here", name=name))


def _refused(answer: Answer) -> HttpError:
    if STATUS[answer] == 401:
        return HttpError(
            401,
            "Denied",
            message("this needs a token that is good for the mirror"),
            message("send Authorization: Bearer syncd_…; `syncd token NAME` creates a token"),
            WWW_Authenticate='Bearer realm="syncd"',
        )
    return HttpError(403, "Denied", message("the token is not good for this"), message("ask an operator"))


async def _filtered(
    ask: Callable[..., Any], fits: Callable[[Any], bool], at: int | None, limit: int, place: str = "before"
) -> list[Any]:
    """Return up to `limit` fitting rows of a list that is read page by page."""
    found: list[Any] = []
    for _ in range(ROUNDS):
        page = await ask(**{place: at}, limit=limit)
        found += [one for one in page if fits(one)]
        if len(found) >= limit or len(page) < limit:
            break
        at = page[-1].id
        await asyncio.sleep(0)
    return found[:limit]
