"""Compares the answer to a range with the request: the same bytes, of the same version."""

from collections.abc import Mapping

from manifests.messages import message
from syncd.core import Changed, Interrupted, RangeRefused
from transports.http import headers as heads
from transports.http.ports import HttpAnswer


class UnknownEnd(RangeRefused):
    """The answer to a range from the beginning may not name the length of the file."""


def accepted_part(
    label: str, answer: HttpAnswer, first: int, asked: int | None, *, is_bound: bool
) -> tuple[int, int, int | None]:
    """Return start, stop and the size of the whole file of a 206, if it is exactly the range `[first, asked)`.

    `asked` is None for the rest of the file; with `first` 0, for a plain request. `is_bound` is True if the version of
    the file is known. Raises RangeRefused, Interrupted.
    """
    fields = answer.headers
    part = heads.content_range(fields)
    is_plain = first == 0 and asked is None
    if part is None or (is_plain and (part[0] > 0 or part[1] != part[2])):  # a plain request may get all with a 206
        raise RangeRefused(
            message(
                "{label}: the server sent a range that was not asked for: {get}",
                label=label,
                get=fields.get("content-range"),
            )
        )
    start, stop, size = part
    wanted = asked if size is None else size if asked is None else min(asked, size)
    if start != first or (wanted is not None and stop != wanted):
        raise RangeRefused(
            message(
                "{label}: bytes {start}-{last} requested, {first}-{end} received",
                label=label,
                start=first,
                last="" if wanted is None else wanted - 1,
                first=start,
                end=stop - 1,
            )
        )
    if answer.length is not None and answer.length != stop - start:
        kind = Interrupted if first else RangeRefused
        raise kind(
            message(
                "{label}: a range of {stop} bytes is announced as {announced}",
                label=label,
                stop=stop - start,
                announced=answer.length,
            )
        )
    if first == 0 and not is_plain and not is_bound and size in (None, asked):
        # servers are known that write the end of the range in place of the length of the file
        raise UnknownEnd(message("{label}: the answer to a range does not say how long the file is", label=label))
    return start, stop, size


def check_version(label: str, version: str, fields: Mapping[str, str], size: int | None, *, is_part: bool) -> None:
    """Raise Changed if the answer has another version; `size` is that of the whole file.

    Raises RangeRefused if the answer `is_part` of a file and names no version.
    """
    if version.startswith('"'):
        wanted, found = version, fields.get("etag")
    else:
        wanted, _, wanted_size = version.removeprefix(heads.MODIFIED).rpartition("|")
        found = fields.get("last-modified")
        if size is not None and str(size) != wanted_size:
            raise Changed(
                message(
                    "{label}: had {wanted_size} bytes and has {size} now",
                    label=label,
                    wanted_size=wanted_size,
                    size=size,
                )
            )
    if found is None and is_part:
        raise RangeRefused(
            message("{label}: the server sent a range without a version, expected {wanted}", label=label, wanted=wanted)
        )
    if found is not None and found != wanted:
        raise Changed(message("{label}: version {wanted} became {found}", label=label, wanted=wanted, found=found))
