"""Counts what a survey found: a list or a description alone is no file of a dataset."""

from itertools import islice

from manifests.reading import is_own
from syncd.catalogue import MirrorRow
from syncd.engine.pass_context import PassContext

MOST_LISTS = 100  # of one source; more names are files


def count_lists(context: PassContext, row: MirrorRow, found: int) -> int:
    """Return `found` if all claims are of lists and descriptions, which then name no other file; else 0."""
    if found > MOST_LISTS:
        return 0
    claims = list(islice(context.catalogue.claims.all(row.id), MOST_LISTS + 1))
    return found if claims and all(map(is_own, claims)) else 0
