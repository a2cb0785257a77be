"""The head of a mirror: what a node signs of its current Snapshot, and the rules by which another node accepts it.

Rules (those of TUF's timestamp and snapshot roles, in one document):
1. The trusted comment of its signature says all that a follower must know, so a head that names the Snapshot that is
   held already costs one request. `head.json` must say the same.
2. A sequence never goes back, and one sequence names one Snapshot; a rollback by a steward has a new sequence.
3. A head that expired is refused, and so is one of another mirror, or one whose chain of nodes leads back here.
4. `checked` is when the original was last surveyed in whole; every node passes it on unchanged.
"""

from datetime import datetime

import msgspec

from manifests.messages import message
from manifests.node_keys import TrustedKeys
from manifests.timestamps import rfc3339

HEAD_FORMAT = "syncd-head/1"
MAX_HEAD = 16 << 10  # bytes
LIFE = 7 * 86_400.0  # seconds for which a head is valid
RENEW = 86_400.0  # seconds after which a head is signed again though nothing changed
MAX_JUMP = 1_000_000  # by how much a sequence may grow between two passes
MAX_HOPS = 8  # nodes between an original and its last copy
CLOCK = 300.0  # seconds by which the clocks of two nodes may differ untold


class HeadError(ValueError):
    """A head that is refused; the text says why."""


class Head(msgspec.Struct, frozen=True):
    """`head.json`; times are as RFC 3339 writes them. `prefix` is the folder of the files in the node's store."""

    node: str
    mirror: str
    seq: int
    snapshot: str
    snapshot_json: str
    files: int
    bytes: int
    signed: str
    published: str
    upstream_checked: str
    expires: str
    via: tuple[str, ...] = ()
    access: str = "open"
    licence: str = ""
    prefix: str = ""
    keys: int = 0
    format: str = HEAD_FORMAT


class HeadSummary(msgspec.Struct, frozen=True):
    """What the trusted comment of a head says; times are in seconds since the epoch."""

    node: str
    mirror: str
    seq: int
    snapshot: str
    signed: float
    checked: float
    expires: float
    keys: int = 0
    via: tuple[str, ...] = ()


class FollowedHead(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a mirror remembers of the head that it follows: the last one that it accepted of `source`."""

    source: str = ""
    node: str = ""
    seq: int = 0
    snapshot: str = ""
    checked: float = 0.0
    expires: float = 0.0
    via: tuple[str, ...] = ()
    trusted: TrustedKeys | None = None


class HeadState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a node must not lose of its own heads of a mirror; it lies in the pointer.

    `seq` is the sequence of the last head, `signed` its time, `snapshot` the one that it names. `checked` is when the
    original was last surveyed in whole, and `via` names the nodes between it and this one. `followed` is the head that
    was last accepted of another node.
    """

    seq: int = 0
    signed: float = 0.0
    snapshot: str = ""
    checked: float = 0.0
    via: tuple[str, ...] = ()
    followed: FollowedHead | None = None


def is_due(state: HeadState, snapshot: str, now: float) -> bool:
    """Return True if the head of a mirror whose current Snapshot is `snapshot` should be signed again."""
    return state.snapshot != snapshot or not 0 <= now - state.signed < RENEW


def summary_of(head: Head) -> HeadSummary:
    """Return what the comment of a head says. Raises HeadError for a time that is none."""
    return HeadSummary(
        head.node,
        head.mirror,
        head.seq,
        head.snapshot,
        _seconds(head.signed),
        _seconds(head.upstream_checked),
        _seconds(head.expires),
        head.keys,
        head.via,
    )


def comment_of(head: Head) -> str:
    """Return the trusted comment of a head."""
    words = {
        "node": head.node,
        "mirror": head.mirror,
        "seq": str(head.seq),
        "snapshot": head.snapshot,
        "signed": head.signed,
        "checked": head.upstream_checked,
        "expires": head.expires,
        "keys": str(head.keys),
        "via": ",".join(head.via),
    }
    return " ".join(f"{key}:{word}" for key, word in words.items())


def parse_comment(comment: str) -> HeadSummary:
    """Return what a trusted comment says. Raises HeadError."""
    words = dict(word.partition(":")[::2] for word in comment.split(" "))
    try:
        return HeadSummary(
            words["node"],
            words["mirror"],
            int(words["seq"]),
            words["snapshot"],
            _seconds(words["signed"]),
            _seconds(words["checked"]),
            _seconds(words["expires"]),
            int(words["keys"]),
            tuple(name for name in words["via"].split(",") if name),
        )
    except (KeyError, ValueError) as error:
        raise HeadError(message("its trusted comment is not that of a head: {cause}", cause=str(error))) from error


def parse_head(text: bytes) -> Head:
    """Return the head of a document. Raises HeadError."""
    try:
        head = msgspec.json.decode(text, type=Head)
    except msgspec.MsgspecError as error:
        raise HeadError(message("not a head: {cause}", cause=str(error))) from error
    if head.format != HEAD_FORMAT:
        raise HeadError(message("its format is {format!r}, not {ours}", format=head.format[:64], ours=HEAD_FORMAT))
    return head


def check_head(head: HeadSummary, *, mirror: str, node: str, last: FollowedHead, now: float) -> list[str]:
    """Return warnings on a head; raises HeadError if it must not be followed.

    `mirror` is the name that is asked for, `node` our own name, `last` the head that was accepted before.
    """
    if head.mirror != mirror:
        raise HeadError(message("the head is that of mirror {name}, not of {mirror}", name=head.mirror, mirror=mirror))
    if node and node in (head.node, *head.via):
        raise HeadError(
            message(
                "this is a copy of our own mirror, by way of {via}: its list is not used",
                via=" → ".join((*head.via, head.node)),
            )
        )
    if len(head.via) > MAX_HOPS:
        raise HeadError(
            message(
                "{count} nodes lie between it and the original, at most {most} may", count=len(head.via), most=MAX_HOPS
            )
        )
    _check_sequence(head, last)
    ahead = head.signed - now
    if head.expires <= now:
        since = rfc3339(head.expires)
        raise HeadError(message("frozen since {time} by our clock: its node signed no newer head", time=since))
    if ahead > CLOCK:
        minutes = round(ahead / 60)
        return [message("the clock of {node} is {minutes} minutes ahead of ours", node=head.node, minutes=minutes)]
    return []


def _check_sequence(head: HeadSummary, last: FollowedHead) -> None:
    if head.seq < last.seq:
        raise HeadError(
            message("an older head: its sequence is {seq}, and {last} was seen before", seq=head.seq, last=last.seq)
        )
    if head.seq == last.seq and last.snapshot not in ("", head.snapshot) and last.seq:
        what = message("two heads have sequence {seq}, and name different snapshots", seq=head.seq)
        raise HeadError(what)
    if last.seq and head.seq - last.seq > MAX_JUMP:
        raise HeadError(
            message("its sequence jumps from {last} to {seq}, more than is plausible", last=last.seq, seq=head.seq)
        )


def clock_difference(node: str, date: float | None, now: float) -> str:
    """Return a warning on the clock of a node, whose answer had the time `date`; "" if there is none."""
    if date is None or abs(date - now) <= CLOCK:
        return ""
    minutes = round(abs(date - now) / 60)
    if date > now:
        return message("the clock of {node} is {minutes} minutes ahead of ours", node=node, minutes=minutes)
    return message("the clock of {node} is {minutes} minutes behind ours", node=node, minutes=minutes)


def _seconds(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise HeadError(message("{text!r} is no time", text=text[:64])) from error
    if found.tzinfo is None:
        raise HeadError(message("{text!r} names no zone", text=text[:64]))
    return found.timestamp()
