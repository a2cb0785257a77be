"""Asks for the files of which the documents of a survey give nothing to detect changes by.

Rules:
1. A file that cannot be asked for stays in the Inventory, which is incomplete then: a failed request is no reason to
   delete a listed file, and the copy may be outdated.
2. A version that differs while size and time are those of the copy is asked for again. If upstream names another one
   each time, its servers have versions of their own, and the file has not changed.
3. A file that its reader says may be absent (`Sparse`) and that upstream does not have leaves the Inventory.
"""

from collections.abc import Callable

from manifests.messages import message
from manifests.reading import Reader, Sparse
from manifests.snapshot import Origin
from manifests.stat import Stat
from syncd.core import (
    DocumentFailed,
    NotFound,
    PermanentError,
    SurveyAdvanced,
    SurveyNoted,
    TransientError,
    in_lanes,
    in_slices,
)
from syncd.engine.inventory import Inventory
from syncd.engine.survey import Survey
from syncd.engine.survey_run import BATCH, WIDTH

AGAIN = 3  # more requests for a version that differs alone
MOST_FAILED = 1000  # files that an Inventory names as not asked for


async def probe_missing_metadata(
    survey: Survey,
    inventory: Inventory,
    without_validator: Callable[[str, int], list[Stat]],
    held: Callable[[str], Origin | None],
    reader: Reader,
) -> None:
    """Request (HEAD) each file for which the documents give no attribute to detect changes by.

    `held` returns the provenance of the copy of a path, None if there is none.
    """
    after, sparse, present, absent = "", reader if isinstance(reader, Sparse) else None, 0, 0
    while page := without_validator(after, BATCH):
        after = page[-1].path
        seen: list[Stat] = []
        missing: dict[str, None] = {}

        async def ask(claim: Stat, seen: list[Stat] = seen, missing: dict[str, None] = missing) -> None:
            target, known = claim.urls[0] if claim.urls else claim.path, held(claim.path)
            try:
                found = await _settled(survey, target, known)
            except NotFound as error:
                if sparse is not None and sparse.may_be_absent(claim.path):
                    missing[claim.path] = None
                else:
                    _failed(survey, inventory, claim.path, error, is_held=known is not None)
            except (TransientError, PermanentError) as error:
                _failed(survey, inventory, claim.path, error, is_held=known is not None)
            else:
                seen.append(Stat(claim.path, found.size, found.modified, found.version, found.digests, claim.urls))

        await in_lanes(WIDTH, page, ask)
        async for some in in_slices(seen):
            survey.claims.add(survey.mirror_id, some)
        survey.claims.change(survey.mirror_id, missing)
        inventory.files -= len(missing)
        absent += len(missing)
        present += sum(sparse is not None and sparse.may_be_absent(stat.path) for stat in seen)
        survey.listener(SurveyAdvanced(survey.mirror, inventory.documents, inventory.documents, inventory.files))
    if absent and not present:
        text = message("upstream has none of the chunks that its metadata describes: are they elsewhere?")
        survey.listener(SurveyNoted(survey.mirror, text, absent))


async def _settled(survey: Survey, target: str, known: Origin | None) -> Stat:
    """Return what upstream says of a file; a version that changes from request to request is that of the copy."""
    found = await survey.transport.stat(target)
    if not _differs_in_version_alone(found, known):
        return found
    assert known is not None
    if is_etag(known.version) and is_etag(found.version):
        for _ in range(AGAIN):
            if (await survey.transport.stat(target)).version != found.version:
                break
        else:
            return found
    return Stat(found.path, found.size, found.modified, known.version, found.digests)


def _differs_in_version_alone(found: Stat, known: Origin | None) -> bool:
    return (
        known is not None
        and None not in (found.version, known.version, found.size, found.modified)
        and found.version != known.version
        and (found.size, found.modified) == (known.size, known.modified)
    )


def is_etag(version: str | None) -> bool:
    """Return True for an ETag, and False for a version that is made of time and size."""
    return version is not None and version.startswith(('"', "W/"))


def _failed(survey: Survey, inventory: Inventory, path: str, error: Exception, *, is_held: bool) -> None:
    """Report a file that could not be asked for. One that is not held, and missing, fails as a transfer."""
    reason = str(error)
    survey.listener(DocumentFailed(survey.mirror, path, reason))
    if (is_held or not isinstance(error, NotFound)) and len(inventory.failed) < MOST_FAILED:
        inventory.failed.append((path, reason))
