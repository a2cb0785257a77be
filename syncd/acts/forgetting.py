"""Forgets a mirror whose manifest was withdrawn: its records, and on request its files."""

import asyncio

from manifests.messages import count, message
from syncd.acts.act_context import ActContext, files_text, size_text
from syncd.catalogue import MirrorRow
from syncd.control import ActResult, ForgetAct
from syncd.core import Busy, ConfigError, NotFound
from syncd.engine import Holding, forget_cursor, forget_mirror, holding_of, release_hold, unknown_mirror
from syncd.session import Session, StoredPublications


async def forget(act: ForgetAct, context: ActContext) -> ActResult:
    """Delete the records of a mirror, and its files if `bytes`. Raises Busy, ConfigError, UnknownName."""
    name, session = act.mirror, context.session
    if act.confirm != name:
        raise ConfigError(message("{name}: is not confirmed: write its name once more: --yes {name}", name=name))
    await require_forgettable(act, context)
    row = session.catalogue.history.mirror(name)
    holding = await holding_of(session.store, session.catalogue, name, row)
    was_public = _is_published(session, name)
    await forget_mirror(session.store, session.catalogue, name, row, files=act.bytes)
    release_hold(session.catalogue.settings, name)
    forget_cursor(session.catalogue.settings, name)
    if was_public:
        session.catalogue.publications.begin(name, session.now())
    session.catalogue.publications.end(name, session.now(), "forgotten")
    await StoredPublications().write(session)  # the tombstone outlives the state folder
    outcome = (
        message("forgotten, and {n} files deleted", n=holding.files)
        if act.bytes
        else message("forgotten; {n} files stay", n=holding.files)
    )
    return ActResult(
        outcome=outcome,
        data={
            "mirror": name,
            "files_deleted": holding.files if act.bytes else 0,
            "files_kept": 0 if act.bytes else holding.files,
            "versions_deleted": holding.kept if act.bytes else 0,
            "versions_kept": 0 if act.bytes else holding.kept,
        },
        lines=(*explained(name, row, holding, with_files=act.bytes), message("{name}: {outcome}", name=name,
                                                                             outcome=outcome)),
    )  # fmt: skip


async def require_forgettable(act: ForgetAct, context: ActContext) -> None:
    """Raise if a mirror cannot be forgotten: a manifest declares it, a tag keeps its files, or there is none."""
    name, session = act.mirror, context.session
    if (file := await asyncio.to_thread(context.declared_in, name)) is not None:
        raise Busy(message("{mirror}: {file} declares it: withdraw this manifest first", mirror=name, file=file))
    row = session.catalogue.history.mirror(name)
    if row is None and not (await holding_of(session.store, session.catalogue, name, row)).kept:
        raise unknown_mirror(name)
    if act.bytes and row is not None and (tags := session.catalogue.tags.all(row.id)):
        names = [tag.name for tag in tags]
        raise Busy(
            message("{mirror}: has the tags {names}: remove them first: syncd tag remove", mirror=name, names=names)
        )


def _is_published(session: Session, mirror: str) -> bool:
    """Return True if a mirror is published by the manifest of its last pass, and no daemon has withdrawn it."""
    publications = session.catalogue.publications
    if mirror in {one.mirror for one in publications.tombstones()}:
        return False
    try:
        return session.manifest(mirror).publish is not None
    except (NotFound, ConfigError):  # it never had a pass, or its manifest is of an older syncd
        return mirror in publications.public()


def explained(mirror: str, row: MirrorRow | None, holding: Holding, *, with_files: bool) -> list[str]:
    """Return lines for people: the deletions, and the files that stay."""
    files = message("{files} ({size})", files=files_text(holding.files), size=size_text(holding.bytes))
    kept = message(
        "{objects} ({size})",
        objects=count(holding.kept, "{n} object", "{n:,} objects"),
        size=size_text(holding.kept_bytes),
    )
    under = message("under {prefix}", prefix=row.prefix) if row is not None else message("under its folder")
    history = message("{kept} of earlier versions, deleted files and snapshots under .syncd/", kept=kept)
    records = message("its records in the state folder and its pointer: rollback and undelete end")
    if with_files:
        return [
            message(
                "{mirror}: deletes {files} {under}, {history}, and {records}",
                mirror=mirror,
                files=files,
                under=under,
                history=history,
                records=records,
            )
        ]
    keeps = message(
        "{mirror}: keeps {files} {under}, and {history}", mirror=mirror, files=files, under=under, history=history
    )
    if holding.kept:
        keeps = message("{keeps}; syncd forget {mirror} --bytes deletes these later", keeps=keeps, mirror=mirror)
    return [message("{mirror}: deletes {records}", mirror=mirror, records=records), keeps]
