"""Limits what one client, or all clients of one address prefix, may have: requests and bytes a second, connections."""

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

V4, V6 = 24, 48  # bits of the address prefix that shares one allowance
MOST_PREFIXES = 20_000  # prefixes that are remembered; the one that was quiet longest goes first
BURST = 2.0  # seconds of the allowance that may be used at once


class TokenBucket:
    """A token bucket: `rate` units a second, saved up for at most `burst` seconds."""

    __slots__ = ("_at", "_clock", "_held", "_most", "_rate")

    def __init__(self, rate: float, burst: float = BURST, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._most, self._clock = rate, max(1.0, rate * burst), clock
        self._held, self._at = self._most, clock()

    def take(self, count: float) -> float:
        """Take `count` units, in advance if need be; return the seconds to wait until they are earned."""
        now = self._clock()
        self._held = min(self._most, self._held + (now - self._at) * self._rate) - count
        self._at = now
        return max(0.0, -self._held / self._rate)

    def take_now(self) -> float:
        """Take one unit if there is one, and return 0; else return the seconds until there is one, and take none."""
        wait = self.take(1.0)
        if wait:
            self._held += 1.0
        return wait

    async def pace(self, count: int) -> None:
        """Wait until `count` units are earned."""
        if wait := self.take(count):
            await asyncio.sleep(wait)


class TokenPace:
    """The pace of one download with a token: it ends with the token, and takes at most the token's rate."""

    __slots__ = ("_bucket", "_lasts")

    def __init__(self, lasts: Callable[[], bool], bucket: TokenBucket | None) -> None:
        """`lasts` tells whether the token is still good; `bucket` is that of all its downloads."""
        self._lasts, self._bucket = lasts, bucket

    async def pace(self, count: int) -> None:
        """Wait until `count` bytes are earned. Raises ConnectionAbortedError once the token was revoked or expired."""
        if self._bucket is not None:
            await self._bucket.pace(count)
        if not self._lasts():
            raise ConnectionAbortedError("the token is no longer good")


class PrefixLimits:
    """The allowance and the connections of each address prefix."""

    def __init__(
        self, requests: float | None, connections: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`requests` a second and `connections` at once for each prefix; None is no limit."""
        self._requests, self._connections, self._clock = requests, connections, clock
        self._allowances: OrderedDict[str, TokenBucket] = OrderedDict()
        self._open: dict[str, int] = {}

    def wait_for(self, prefix: str) -> float:
        """Count a request; return 0 if it is within the limit, else the seconds after which one is."""
        if self._requests is None:
            return 0.0
        found = self._allowances.get(prefix)
        if found is None:
            found = self._allowances[prefix] = TokenBucket(self._requests, clock=self._clock)
            if len(self._allowances) > MOST_PREFIXES:
                self._allowances.popitem(last=False)
        else:
            self._allowances.move_to_end(prefix)
        return found.take_now()

    def enter(self, prefix: str) -> bool:
        """Count a connection; False if the prefix has all that it may have, and then it is not counted."""
        held = self._open.get(prefix, 0)
        if self._connections is not None and held >= self._connections:
            return False
        self._open[prefix] = held + 1
        return True

    def leave(self, prefix: str) -> None:
        """End a connection that was counted."""
        left = self._open[prefix] - 1
        if left:
            self._open[prefix] = left
        else:
            del self._open[prefix]


def prefix_of(address: str) -> str:
    """Return the prefix of an address that shares its limits; the address itself if it is none."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    bits = V4 if found.version == 4 else V6
    return str(ipaddress.ip_network((found, bits), strict=False))
