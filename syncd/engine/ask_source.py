"""Asks a source once, within bounds, what it has: for a steward who writes a manifest. Nothing is stored.

Rule: a survey ends after some files, documents or seconds. What it has not seen until then is unknown, not missing.
"""

import asyncio
from itertools import islice

import msgspec

from manifests.reading import is_native
from manifests.stat import Stat
from syncd.catalogue import MirrorRow
from syncd.core import PermanentError, TransientError
from syncd.engine.build_plan import begin_survey, collect_listing
from syncd.engine.found_files import count_lists
from syncd.engine.inventory import Inventory
from syncd.engine.pass_context import PassContext

MAX_FILES = 20_000
MAX_DOCUMENTS = 200
MAX_SECONDS = 60.0
TRIED = 3  # files of which a byte is requested


class SourceAnswer(msgspec.Struct):
    """What a source answered; with `is_bounded` it has more than was asked for."""

    mirror: str
    files: int = 0
    documents: int = 0
    is_bounded: bool = False
    unmatched: tuple[tuple[str, str], ...] = ()
    failed: list[tuple[str, str]] = []
    denied: str = ""
    """Why a file that is listed cannot be read; "" if one could."""


async def ask_source(context: PassContext, row: MirrorRow, *, seconds: float = MAX_SECONDS) -> SourceAnswer:
    """Ask the first source of a mirror. Raises what makes it unavailable."""
    limits = context.mirror.source.limits
    most = min(MAX_FILES, limits.max_files)
    survey = msgspec.structs.replace(begin_survey(context, row), max_files=most, max_documents=MAX_DOCUMENTS, key="")
    answer, inventory = SourceAnswer(context.mirror.name), Inventory()
    try:
        async with asyncio.timeout(seconds):
            if is_native(context.reader):
                inventory = await collect_listing(context, survey)
            else:
                inventory = await survey.read(context.reader)
    except TimeoutError:
        answer.is_bounded = True
    answer.files = context.catalogue.claims.claimed(row.id)
    answer.files -= count_lists(context, row, answer.files)
    answer.documents = inventory.documents
    answer.is_bounded |= answer.files > most or answer.documents >= MAX_DOCUMENTS
    # what ends the survey at a bound is listed as a failure, too
    answer.failed = [] if answer.is_bounded else inventory.failed
    answer.unmatched = survey.selection.unmatched() if inventory.complete or answer.is_bounded else ()
    answer.denied = await _denied(context, list(islice(context.catalogue.claims.all(row.id), TRIED)))
    return answer


async def _denied(context: PassContext, stats: list[Stat]) -> str:
    """Return why none of some files can be read: a listing may be open to everybody, and its files not."""
    reason = ""
    for stat in stats:
        place = stat.urls[0] if stat.urls else stat.path
        try:
            async with context.source.open(place, start=0, stop=None) as body:
                async for _ in body:
                    break
        except (PermanentError, TransientError) as error:
            reason = reason or str(error)
        else:
            return ""
    return reason
