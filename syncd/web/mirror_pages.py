"""The pages of one mirror: its state, passes, files, snapshots and held deletions, and the actions of operators."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web

from manifests.messages import message
from syncd.api import ApiContext, Call, HttpError, decide, schemas as a
from syncd.control import ForgetAct, JobView, act_from
from syncd.web.i18n.translator import Translator, crumbs
from syncd.web.rendering import banners, see_other, site_of
from syncd.web.view_models import age_of, badges, listing, verified_share

FEW = 10  # of anything that has a page of its own
EVENTS = 200
MOMENT = 2.0  # seconds for which a page waits for the end of a job
JOB_TONES = {
    "waiting": "calm", "running": "busy", "done": "ok", "failed": "bad", "cancelled": "calm", "cut": "warn"
}  # fmt: skip


class DoneQuery(a.Query, frozen=True, kw_only=True):
    """What was just done, for the sentence above the mirror."""

    done: a.Act | None = None
    job: a.Number | None = None
    """The job that was just started."""


async def show_mirror(context: ApiContext, call: Call) -> web.Response:
    """Show one mirror."""
    name = call.path_params["mirror"]
    control, now = context.control, context.clock()
    mirror = control.mirror(name)
    passes = await control.passes(name, limit=FEW)
    act = call.query.done
    jobs = await control.jobs(name, limit=FEW) if call.identity.role == "operator" else []
    progress = mirror.progress
    left = None
    if progress is not None and progress.rate > 0 and progress.sized and progress.phase == "transfer":
        left = max(0, progress.bytes - progress.bytes_done) / progress.rate
    return await site_of(context).render(
        context, call.request, "mirror.html", stream=f"/api/v1/events?mirror={name}", mirror=mirror,
        badges=badges(mirror), age=age_of(mirror, now), left=left, verified=verified_share(mirror),
        done=_done(act, jobs, call.query.job),
        scrub=next((one for one in control.scrubs() if one.mirror == name), None),
        parked=await control.parked(name, limit=FEW) if mirror.parked else [],
        failures=await control.failures(name, limit=FEW) if mirror.failed else [],
        quarantine=await control.quarantine(name, limit=FEW) if mirror.quarantined else [],
        passes=passes, older=passes[-1].id if len(passes) == FEW else None,
        snapshots=await control.snapshots(name) if mirror.snapshot else [],
        copies=await control.copies(name),
        jobs=jobs, job_tones=JOB_TONES,
        held=mirror.message is not None and mirror.message.code == "held",
        peak=max([one.rate for one in control.series(name)] + ([progress.rate] if progress is not None else [0.0])),
        **banners(context),
    )  # fmt: skip


def _done(act: str | None, jobs: Sequence[JobView], number: int | None) -> Callable[[Translator], str] | str:
    """Return the sentence above the mirror: what was just done, or how the job is that was just started."""
    if act is not None:
        return lambda speech: speech.say(f"done.{act}")
    job = next((one for one in jobs if one.id == number), None)
    if job is None:
        return ""
    return lambda speech: speech.say("done.job", job=speech.say(f"act.{job.act}"), state=speech.say(f"job.{job.state}"))


async def act(context: ApiContext, call: Call) -> web.Response:
    """Carry out an action of an operator, and show the mirror."""
    name = call.path_params["mirror"]
    form = await call.request.post()
    try:
        asked = msgspec.convert(dict(form), _ActForm, strict=False)
    except msgspec.ValidationError as error:
        raise HttpError(
            400,
            "Unsupported",
            message("the form does not fit: {cause}", cause=error),
            message("go back and load the page again"),
        ) from error
    if asked.act not in STEWARDS:
        context.access.admit(call.identity, "operator")
    if asked.act in {"approve", "reject"}:
        await decide(context, name, asked.act, call.who, asked.files)
    else:
        await getattr(context.control, asked.act)(name, call.who)
    return see_other(f"/mirrors/{name}?done={asked.act}")


STEWARDS = frozenset({"sync", "approve", "reject"})  # what a steward may do, too


async def start_job(context: ApiContext, call: Call) -> web.Response:
    """Start a job with the arguments of a form, wait a moment for its end, and show the mirror."""
    name = call.path_params["mirror"]
    form: dict[str, Any] = dict(await call.request.post())
    if "paths" in form:
        form["paths"] = [path for line in str(form["paths"]).splitlines() if (path := line.strip())]
    try:
        act = act_from(form | {"mirror": name})
    except msgspec.ValidationError as error:
        raise HttpError(
            400,
            "Unsupported",
            message("the form does not fit: {cause}", cause=error),
            message("go back and load the page again"),
        ) from error
    job = await context.control.job((await context.control.perform(act, call.who)).id, wait=MOMENT)
    if job.state == "done" and isinstance(act, ForgetAct):
        return see_other("/")
    return see_other(f"/mirrors/{name}?job={job.id}#remedies")


async def cancel_job(context: ApiContext, call: Call) -> web.Response:
    """Stop a job, and show its mirror."""
    job = await context.control.cancel_job(call.path_params["job_id"], call.who)
    return see_other(f"/mirrors/{job.mirror}#remedies")


class _ActForm(msgspec.Struct, frozen=True):
    act: a.Act
    files: int | None = None


async def show_passes(context: ApiContext, call: Call) -> web.Response:
    """Show the passes of a mirror."""
    name = call.path_params["mirror"]
    mirror = context.control.mirror(name)
    found = await context.control.passes(name, before=call.query.before, limit=call.query.limit)
    older = found[-1].id if len(found) >= call.query.limit else None
    return await site_of(context).render(
        context, call.request, "passlist.html", mirror=mirror, passes=found, older=older
    )


async def show_pass(context: ApiContext, call: Call) -> web.Response:
    """Show one pass and its events."""
    name, number = call.path_params["mirror"], call.path_params["pass_id"]
    mirror = context.control.mirror(name)
    events = await context.control.pass_events(name, number, after=call.query.after, limit=EVENTS)
    (one,) = await context.control.passes(name, before=number + 1, limit=1)
    newer = events[-1].id if len(events) >= EVENTS else None
    return await site_of(context).render(
        context, call.request, "pass.html", mirror=mirror, one=one, events=events, newer=newer
    )


class FolderQuery(a.Query, frozen=True, kw_only=True):
    """Which folder."""

    prefix: str = ""
    after: str = ""


async def show_files(context: ApiContext, call: Call) -> web.Response:
    """Show a folder of a mirror."""
    prefix = call.query.prefix
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    mirror = context.control.mirror(call.path_params["mirror"])
    found = await listing(context.control, mirror.name, prefix, call.query.after)
    return await site_of(context).render(
        context,
        call.request,
        "files.html",
        mirror=mirror,
        prefix=prefix,
        listing=found,
        folders_above=list(crumbs(prefix)),
    )


async def show_file(context: ApiContext, call: Call) -> web.Response:
    """Show one file and its provenance."""
    mirror = context.control.mirror(call.path_params["mirror"])
    entry = await context.control.entry(mirror.name, call.query.path)
    return await site_of(context).render(context, call.request, "file.html", mirror=mirror, entry=entry)


async def show_diff(context: ApiContext, call: Call) -> web.Response:
    """Show the differences between two snapshots."""
    mirror = context.control.mirror(call.path_params["mirror"])
    query = call.query
    diff = await context.control.diff(mirror.name, query.before, query.after, limit=query.limit, content=True)
    return await site_of(context).render(context, call.request, "diff.html", mirror=mirror, diff=diff)


async def show_rejections(context: ApiContext, call: Call) -> web.Response:
    """Show the files that differ from upstream by decision."""
    mirror = context.control.mirror(call.path_params["mirror"])
    found = await context.control.rejections(mirror.name, after=call.query.after, limit=call.query.limit)
    following = found[-1].path if len(found) >= call.query.limit else ""
    return await site_of(context).render(
        context, call.request, "rejections.html", mirror=mirror, rejections=found, next=following
    )


async def show_parked(context: ApiContext, call: Call) -> web.Response:
    """Show the deletions held for approval."""
    mirror = context.control.mirror(call.path_params["mirror"])
    found = await context.control.parked(mirror.name, after=call.query.after, limit=call.query.limit)
    following = found[-1].path if len(found) >= call.query.limit else ""
    return await site_of(context).render(
        context, call.request, "parked.html", mirror=mirror, parked=found, next=following
    )
