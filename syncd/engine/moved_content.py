"""Tells which losses are none, because the next Snapshot has the same content under another name."""

from collections.abc import Container, Iterable
from contextlib import aclosing

from syncd.catalogue import MirrorRow, Swap
from syncd.core import Loss, collected, in_slices
from syncd.engine.content_claims import Evidence, evidence_in, evidence_of
from syncd.engine.pass_context import PassContext


async def held_elsewhere(
    context: PassContext, row: MirrorRow, losses: Iterable[Loss], leaving: Container[str], swaps: Iterable[Swap] = ()
) -> set[str]:
    """Return the paths of the losses whose content stays: it is proved, and neither deleted nor replaced itself.

    Of empty files, which all have the same content, as many moved as are new.

    `leaving` are the paths of all files that the pass may delete or replace; `swaps` are the staged replacements, which
    bring new content. Reads the whole mirror, so it is for losses that the guard would hold.
    """
    holdings = context.catalogue.holdings
    lost: dict[bytes, list[str]] = {}
    empty: list[str] = []
    async for part in in_slices(losses):
        for loss in part:
            found = holdings.entry(row.id, loss.path)
            if found is not None and found[0].size == 0:
                empty.append(loss.path)
            elif found is not None:
                lost.setdefault(bytes.fromhex(found[0].sha256), []).append(loss.path)
    kept: set[str] = set()
    for swap in swaps:
        kept.update(lost.pop(bytes.fromhex(swap.entry.sha256), ()))
    added = set(await collected(holdings.changed(row.id))) if empty else set()
    async with aclosing(in_slices(holdings.known_files(row.id))) as pages:
        async for page in pages:
            for path, length, _, _, sha256, _ in page:
                if path in leaving:
                    continue
                if sha256 in lost:
                    kept.update(lost.pop(sha256))
                elif length == 0 and empty and path in added:
                    kept.add(empty.pop())
            if not lost and not empty:
                break
    return kept


async def expected_elsewhere(context: PassContext, row: MirrorRow, losses: Iterable[Loss]) -> set[str]:
    """Return the paths of the losses whose content upstream seems to list under another name.

    Nothing is proved: it is what a plan can tell before the transfers.
    """
    catalogue, wanted = context.catalogue, set[Evidence]()
    async for steps in in_slices(catalogue.claims.steps(row.id, "fetch", "replace")):
        for step in steps:
            if step.stat is not None:
                wanted.update(evidence_of(step.stat))
    found: set[str] = set()
    async for part in in_slices(losses):
        for loss in part:
            for stored in catalogue.content.entries(row.id, loss.path, loss.path + "\0"):
                if not wanted.isdisjoint(evidence_in(stored)):
                    found.add(loss.path)
    return found
