"""Decisions that the next pass carries out: on held losses, on pinned files, on files that failed."""

from manifests.messages import count, message
from syncd.acts.act_context import ActContext, files_text
from syncd.control import ActResult, ApproveAct, RejectAct, ResetAct, RetryAct, TagAct, UnpinAct, UntagAct
from syncd.core import ConfigError, NotFound, UnknownName
from syncd.engine import Tagging, approve_losses, find_snapshot, forget_cursor
from syncd.session import Session

SHOWN = 20  # paths in one line


async def approve(act: ApproveAct, context: ActContext) -> ActResult:
    """Approve exactly the held losses, or record that one of two people has. Raises Busy for one who has."""
    name, row, session, actor = act.mirror, context.row(act.mirror), context.session, context.actor
    _, replaced = session.catalogue.approvals.count_parked(row.id)
    needed = _approvals(session, name)
    found = approve_losses(session.catalogue, row.id, needed, str(actor), actor.marks, session.now())
    number = found.number
    if found.missing:
        line = message("{name}: {outcome}: syncd approve {name}", name=name, outcome=found.outcome)
    elif not number:
        line = message("{name}: nothing is held for approval", name=name)
    elif replaced:
        line = message(
            "{name}: approved; the next pass deletes {deleted} and replaces {replaced}; undelete and rollback work "
            "until their retention ends",
            name=name,
            deleted=files_text(number - replaced),
            replaced=files_text(replaced),
        )
    else:
        line = message(
            "{name}: approved; the next pass deletes {deleted}; undelete works until keep.removed ends",
            name=name,
            deleted=files_text(number),
        )
    data = {"mirror": name, "approved": number, "missing": found.missing, "given": list(found.given)}
    return ActResult(outcome=found.outcome, data=data, lines=(line,))


def _approvals(session: Session, mirror: str) -> int:
    """Return how many people must approve, by the manifest with which the mirror was last synced."""
    try:
        return session.manifest(mirror).guard.approvals
    except (NotFound, ConfigError):  # its manifest is not recorded yet
        return 1


async def reject(act: RejectAct, context: ActContext) -> ActResult:
    """Reject exactly the held losses, or forget what was rejected."""
    name, row, approvals = act.mirror, context.row(act.mirror), context.session.catalogue.approvals
    if act.undo:
        number = approvals.forget_rejected(row.id)
        outcome = count(number, "{n} loss no longer rejected", "{n:,} losses no longer rejected")
        line = message(
            "{name}: {files} no longer rejected; the next pass judges them again", name=name, files=files_text(number)
        )
        return ActResult(outcome=outcome, data={"mirror": name, "forgotten": number}, lines=(line,))
    number = approvals.reject(row.id, str(context.actor), context.session.now())
    if number:
        line = message("{name}: rejected; {files} stay as they are", name=name, files=files_text(number))
    else:
        line = message("{name}: nothing is held for approval", name=name)
    outcome = count(number, "{n} loss rejected", "{n:,} losses rejected")
    return ActResult(outcome=outcome, data={"mirror": name, "rejected": number}, lines=(line,))


async def unpin(act: UnpinAct, context: ActContext) -> ActResult:
    """Release restored files. Raises UnknownName for one that is not pinned."""
    name, row, approvals = act.mirror, context.row(act.mirror), context.session.catalogue.approvals
    pinned = approvals.pinned(row.id)
    if unknown := [path for path in act.paths if path not in pinned]:
        raise UnknownName(
            message(
                "{path}: is not pinned in {mirror}; `syncd unpin {mirror}` lists them", path=unknown[0], mirror=name
            )
        )
    paths = sorted(set(act.paths))
    approvals.unpin(row.id, paths)
    number = count(len(paths), "{n} file unpinned", "{n:,} files unpinned")
    return ActResult(
        outcome=message("{number}: {paths}", number=number, paths=paths[:SHOWN]),
        data={"mirror": name, "unpinned": paths},
        lines=(
            message(
                "{name}: {files} unpinned; the next pass follows upstream again",
                name=name,
                files=files_text(len(paths)),
            ),
        ),
    )


async def retry(act: RetryAct, context: ActContext) -> ActResult:
    """Let the next pass request failed files again. Raises UnknownName for one that did not fail."""
    name, row, catalogue = act.mirror, context.row(act.mirror), context.session.catalogue
    failed = {one.path for one in catalogue.failures.files(row.id)}
    if unknown := [path for path in act.paths if path not in failed]:
        raise UnknownName(
            message(
                "{path}: did not fail in the last pass of {mirror}; `syncd status --json` lists those that did",
                path=unknown[0],
                mirror=name,
            )
        )
    paths = sorted(set(act.paths))
    for path in paths:
        catalogue.deferred.forget(row.id, path)
    number = count(len(paths), "{n} file to be requested again", "{n:,} files to be requested again")
    return ActResult(
        outcome=message("{number}: {paths}", number=number, paths=paths[:SHOWN]),
        data={"mirror": name, "retried": paths},
        lines=(message("{name}: the next pass requests {files} again", name=name, files=files_text(len(paths))),),
    )


async def reset(act: ResetAct, context: ActContext) -> ActResult:
    """Forget how far upstream's changes were read, and where an interrupted survey stopped."""
    row, catalogue = context.row(act.mirror), context.session.catalogue
    forget_cursor(catalogue.settings, row.name)
    catalogue.frontier.end(row.id)
    return ActResult(
        outcome=message("the next pass reads the whole listing"),
        data={"mirror": row.name, "reset": True},
        lines=(message("{name}: the next pass reads upstream's whole listing", name=row.name),),
    )


async def tag(act: TagAct, context: ActContext) -> ActResult:
    """Name a kept snapshot. Raises UnknownName, Busy if the name is taken."""
    session, row = context.session, context.row(act.mirror)
    found = find_snapshot(session.catalogue, row, act.snapshot)
    made = await Tagging(session.store, session.catalogue, row, session.now).tag(found.id, act.tag, str(context.actor))
    return ActResult(
        outcome=message("snapshot {snapshot} is {tag}", snapshot=made.snapshot[:12], tag=made.name),
        data={"mirror": row.name, "tag": made.name, "snapshot": made.snapshot},
        lines=(
            message(
                "{mirror}: snapshot {snapshot} is {tag}: it is kept until the tag is removed",
                mirror=row.name,
                snapshot=made.snapshot[:16],
                tag=made.name,
            ),
        ),
    )


async def untag(act: UntagAct, context: ActContext) -> ActResult:
    """Remove a tag. Raises UnknownName."""
    session, row = context.session, context.row(act.mirror)
    removed = await Tagging(session.store, session.catalogue, row, session.now).untag(act.tag)
    return ActResult(
        outcome=message("the tag {tag} is removed", tag=act.tag),
        data={"mirror": row.name, "removed": act.tag, "snapshot": removed.snapshot},
        lines=(
            message(
                "{mirror}: {tag} removed; snapshot {snapshot} is kept as long as any other",
                mirror=row.name,
                tag=act.tag,
                snapshot=removed.snapshot[:16],
            ),
        ),
    )
