"""Finishes an interrupted publish when the store is opened next: until then the files are ahead of the Snapshot."""

import time
from collections.abc import Callable

from manifests.model import Keep
from syncd.catalogue import Catalogue, interrupted_mirrors
from syncd.core import Busy, Damaged, Listener, NoSpace, PermanentError, PublishResumed, PublishStuck, Store
from syncd.engine.pass_paths import PassPaths
from syncd.engine.publish import Publisher


async def roll_forward(
    store: Store,
    catalogue: Catalogue,
    listener: Listener,
    keep: Callable[[str], Keep | None],
    now: Callable[[], float] = time.time,
) -> bool:
    """Finish every interrupted publish; `keep` returns the retention of a mirror. Returns True if there was one.

    What fails for one mirror is reported, and its next pass tries again. Raises TransientError, NoSpace, Busy, and
    Damaged for the Catalogue.
    """
    interrupted = interrupted_mirrors(catalogue)
    for row in interrupted:
        place = PassPaths(row.name, row.prefix, f"resumed-{time.time_ns():x}")
        publisher = Publisher(store, catalogue, row, place, listener, keep(row.name), now)
        try:
            snapshot = await publisher.finish()
        except (NoSpace, Busy):
            raise
        except PermanentError as error:
            if isinstance(error, Damaged) and error.in_catalogue and not error.of_mirror:
                raise
            listener(PublishStuck(row.name, str(error)))
        else:
            if snapshot is not None:  # None: a restoration was cut before it was decided, and nothing has changed
                listener(PublishResumed(row.name, snapshot.id))
    return bool(interrupted)
