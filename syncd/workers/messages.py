"""The messages between a pass and its worker processes: MessagePack, each with a length prefix.

Rule: a worker receives all values over its own socket, secrets included, never in arguments or environment variables.
"""

import asyncio
from typing import TypeVar

import msgspec

from manifests.messages import message, plain
from syncd.core import Damaged, Step
from syncd.engine import PassPaths, VerifiedFile
from syncd.sources import Upstream

M = TypeVar("M")

MAX_FRAME = 64 << 20  # bytes


class Setup(msgspec.Struct, frozen=True, tag=True):
    """The first message to a worker: source, store, limit of concurrent requests, room in the quarantine."""

    upstream: Upstream
    store: str
    place: PassPaths
    by: str
    ceiling: int
    quarantine: int
    is_narrow: bool = False
    """True if other users must not read the files of the mirror; `group` may."""
    group: int | None = None


class TransferBatch(msgspec.Struct, frozen=True, tag=True):
    """Files to transfer, each with its own number."""

    steps: list[tuple[int, Step]]


class Throttled(msgspec.Struct, frozen=True, tag=True):
    """An origin refused a request of one process; the wait holds for all of them."""

    origin: str
    retry_after: float | None


class OriginAbsence(msgspec.Struct, frozen=True, tag=True):
    """An origin is away for one process, or is back; see `wrappers.OnAbsence`."""

    origin: str
    reason: str
    seconds: float | None
    message: str = ""
    """The template and values of `reason`."""


class FailedTransfer(msgspec.Struct, frozen=True):
    """A file that failed to download: the class of the error, and the path of its quarantined bytes, or "".

    `received` bytes were wasted.
    """

    number: int
    error: str
    reason: str
    quarantined: str
    received: int
    message: str = ""
    """The template and values of `reason`."""


class RetriedTransfer(msgspec.Struct, frozen=True):
    """A failed attempt that another one follows.

    `wait` is None for a download that started again; its `received` bytes were wasted.
    """

    path: str
    reason: str
    error: str
    attempt: int
    wait: float | None
    received: int = 0
    message: str = ""
    """The template and values of `reason`."""


class Traffic(msgspec.Struct):
    """The traffic of an origin since the last message; see `governor.Count`."""

    answered: int
    failed: int
    bytes: int
    seconds: float
    first_byte: list[int]


class Outcome(msgspec.Struct, frozen=True, tag=True):
    """The work of a worker since its last message."""

    proved: list[tuple[int, VerifiedFile]]
    not_small: list[int]
    failed: list[FailedTransfer]
    retried: list[RetriedTransfer]
    traffic: dict[str, Traffic]


class Halt(msgspec.Struct, frozen=True, tag=True):
    """The pass was asked to stop: no file waits for its origin any longer."""


Order = Setup | TransferBatch | Throttled | Halt
Answer = Outcome | Throttled | OriginAbsence

encode = msgspec.msgpack.Encoder(enc_hook=plain).encode
decode_order = msgspec.msgpack.Decoder(Order).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


def send(writer: asyncio.StreamWriter, message: Order | Answer) -> None:
    """Write one message."""
    body = encode(message)
    writer.write(len(body).to_bytes(4, "big") + body)


async def receive(reader: asyncio.StreamReader) -> bytes | None:
    """Return the next message, or None if the connection is closed. Raises Damaged for one that is too long."""
    try:
        length = int.from_bytes(await reader.readexactly(4), "big")
        if length > MAX_FRAME:
            raise Damaged(
                message(
                    "a message of {length} bytes between a pass and its worker, the limit is {max_frame}",
                    length=length,
                    max_frame=MAX_FRAME,
                )
            )
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
