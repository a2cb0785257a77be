"""What a pass and its worker processes say to one another: messages of MessagePack, each behind its length.

Rule: a worker is told everything it needs over its own socket, secrets too; nothing stands in arguments or variables.
"""

import asyncio
from typing import TypeVar

import msgspec

from manifests.messages import plain
from syncd.core import Damaged, Step
from syncd.engine import PassPaths, VerifiedFile
from syncd.sources import Upstream

M = TypeVar("M")

MAX_FRAME = 64 << 20  # bytes


class Setup(msgspec.Struct, frozen=True, tag=True):
    """The first message to a worker: from where, to where, and how many requests at once."""

    upstream: Upstream
    store: str
    place: PassPaths
    by: str
    ceiling: int


class TransferBatch(msgspec.Struct, frozen=True, tag=True):
    """Files to move, each under a number of its own."""

    steps: list[tuple[int, Step]]


class Throttled(msgspec.Struct, frozen=True, tag=True):
    """An origin said "not now", to one of us; it holds for all of us."""

    origin: str
    retry_after: float | None


class FailedTransfer(msgspec.Struct, frozen=True):
    """Why a file could not be had: the kind of `syncd.core.errors`, and where its bytes are kept aside, if they are.

    `received` bytes came in vain.
    """

    number: int
    error: str
    reason: str
    quarantined: str
    received: int
    message: str = ""
    """The template and values of `reason`."""


class RetriedTransfer(msgspec.Struct, frozen=True):
    """A try that failed and was followed by another.

    `wait` is None for a download that was begun afresh, of which `received` bytes came in vain.
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
    """What went over an origin since the last message; see `governor.Count`."""

    answered: int
    failed: int
    bytes: int
    seconds: float
    first_byte: list[int]


class Outcome(msgspec.Struct, frozen=True, tag=True):
    """What a worker did since its last message."""

    proved: list[tuple[int, VerifiedFile]]
    not_small: list[int]
    failed: list[FailedTransfer]
    retried: list[RetriedTransfer]
    traffic: dict[str, Traffic]


Order = Setup | TransferBatch | Throttled
Answer = Outcome | Throttled

encode = msgspec.msgpack.Encoder(enc_hook=plain).encode
decode_order = msgspec.msgpack.Decoder(Order).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


def send(writer: asyncio.StreamWriter, message: Order | Answer) -> None:
    """Write one message."""
    body = encode(message)
    writer.write(len(body).to_bytes(4, "big") + body)


async def receive(reader: asyncio.StreamReader) -> bytes | None:
    """Return the next message, or None where the other side has gone. Raises Damaged for one that is too long."""
    try:
        length = int.from_bytes(await reader.readexactly(4), "big")
        if length > MAX_FRAME:
            raise Damaged(f"a message of {length} bytes between a pass and its worker, {MAX_FRAME} are the most")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
