"""What passed over one origin: responses, bytes, waits, and the time to the first byte."""

import msgspec

FIRST_BYTE = (
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)  # seconds: bounds of `Count.first_byte`


class Count(msgspec.Struct):
    """The traffic of one origin since the start, for metrics."""

    answered: int = 0
    refused: int = 0
    failed: int = 0
    bytes: int = 0
    asked_to_wait: float = 0.0
    """Seconds for which requests waited because upstream asked for it."""
    held_to_rate: float = 0.0
    """Seconds for which reading waited because of the rate limit."""
    first_byte: list[int] = msgspec.field(default_factory=lambda: [0] * (len(FIRST_BYTE) + 1))
    """Responses by the time to their first byte: up to each of FIRST_BYTE, and longer."""
    seconds: float = 0.0
    """The sum of those times."""

    def add(self, answered: int, failed: int, count: int, seconds: float, first_byte: list[int]) -> None:
        """Add the traffic of another process."""
        self.answered += answered
        self.failed += failed
        self.bytes += count
        self.seconds += seconds
        self.first_byte = [one + other for one, other in zip(self.first_byte, first_byte, strict=True)]
