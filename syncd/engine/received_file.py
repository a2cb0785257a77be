"""Describes received bytes: from where, of which version, of which kind. Pure."""

from collections.abc import Mapping

from manifests.content_coding import coding_of
from manifests.messages import message
from manifests.stat import Stat
from syncd.core import Body, Changed, Mismatch, Transport
from syncd.engine.newer_answer import changed_meanwhile, ends_itself, is_plausible, overrides, overrides_unsized
from syncd.engine.verdict import ReceivedFile, has_digest
from syncd.streams import DecodedBody
from syncd.wrappers import FailoverTransport


def served_url(source: Transport, asked: str) -> str:
    """Return the URL that a file came from; with several sources, the one that sent most bytes."""
    return source.main_target(asked) if isinstance(source, FailoverTransport) else asked


def received_file(
    stat: Stat,
    answered: Stat,
    size: int,
    digests: dict[str, str],
    head: bytes,
    headers: Mapping[str, str],
    url: str,
    *,
    is_own: bool = False,
) -> ReceivedFile:
    """Return what arrived; `headers` are empty for a file whose first bytes an earlier pass has received.

    `is_own`: see `is_own_version`.
    """
    is_newer = size != stat.size and ((is_own and is_plausible(stat, answered, size)) or overrides(stat, answered))
    return ReceivedFile(
        answered, size, digests, head, _kind(headers), url, coding_of(headers), headers.get("date", ""), is_newer
    )


def is_own_version(stat: Stat, body: Body) -> bool:
    """Return True if a body without a length is whole at its own end, whatever the listing said."""
    is_decoded_here = isinstance(body, DecodedBody)
    return ends_itself(body.stat, body.headers, is_decoded=is_decoded_here) and overrides_unsized(
        stat, body.stat, body.headers
    )


def raise_if_changed(stat: Stat, answered: Stat, error: Mismatch) -> None:
    """Raise Changed if the file is of a later version than the promised checksum."""
    if has_digest(stat) and changed_meanwhile(stat, answered):
        raise Changed(
            message("{path}: changed while being read, after it was listed: {cause}", path=stat.path, cause=error)
        ) from error


def _kind(headers: Mapping[str, str]) -> str:
    """Return the media type of a response, without parameters, or ""."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()
