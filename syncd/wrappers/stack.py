"""Stacks the wrappers around the transport of a source and around the store, in the only valid order.

Around a transport, from the inside out:
1. The adapter of the url's scheme (web adapters in `sources.s3_routing`, which also reads from buckets).
2. `FairTransport`, in a daemon: a request takes one of the connections that all passes share. It is inside the
   governor, so that a request that waits for its origin holds no connection.
3. `GovernedTransport`: a request waits for a slot of its origin, and is measured.
4. `syncd.sources.CredentialedTransport`, with a credential: outside the governor, so that a request that waits for a
   token or a secret holds no slot.
5. `Retrying`: outermost, so that a request that waits for its next attempt holds neither slot nor connection, and each
   attempt is governed and counted separately.
A pass adds two more: `DerivedFileTransport` for a survey that derived files, `FailoverTransport` for a file that
several sources have; `MultiSourceTransport` joins the stacks of all sources.

Around a store, from the inside out:
1. The adapter. The lease uses it directly: it must know which writes succeeded.
2. `FencedStore`, where a lease is held: inside the retries, so that each attempt is checked after its pause.
3. `RetryingStore`, if the store is on a network; failures of a folder are not transient.
4. `MeteredStore`, in a daemon: outermost, so that an operation counts once, however many attempts it took.
"""

from collections.abc import Callable

from syncd.core import Fence, Store, Transport
from syncd.wrappers.fair_share import OriginShare
from syncd.wrappers.fair_transport import FairTransport
from syncd.wrappers.fenced_store import FencedStore
from syncd.wrappers.governed_transport import GovernedTransport, OnAbsence, ignore_absence
from syncd.wrappers.governors import Governors
from syncd.wrappers.metered_store import Meter, MeteredStore
from syncd.wrappers.retry_policy import OnRetry, Policy, ignore_retry
from syncd.wrappers.retrying_store import RetryingStore
from syncd.wrappers.retrying_transport import Retrying


def stack_transport(
    adapter: Transport,
    url: str,
    governors: Governors,
    *,
    limit: int | None = None,
    rate: float | None = None,
    connections: OriginShare | None = None,
    policy: Policy | None = None,
    on_retry: OnRetry = ignore_retry,
    outside: Callable[[Transport], Transport] | None = None,
    is_side: bool = False,
    on_absence: OnAbsence = ignore_absence,
) -> Transport:
    """Return `adapter`, which reads `url`, with all its wrappers.

    `limit` is the most concurrent requests, `rate` bytes per second, `connections` the share of a daemon's connections.
    `outside` wraps the governed transport; `is_side` gives its requests a slot of their own (`Governors.side`).
    """
    inner = FairTransport(adapter, connections) if connections is not None else adapter
    governed = GovernedTransport(
        inner,
        governors,
        url,
        connections=limit,
        rate=rate,
        holds=policy is None or policy.holds,
        on_absence=on_absence,
        is_side=is_side,
    )
    return Retrying(outside(governed) if outside is not None else governed, policy, on_retry)


def stack_store(adapter: Store, *, is_remote: bool, meter: Meter | None = None, fence: Fence | None = None) -> Store:
    """Return `adapter` with all its wrappers; `meter` counts and times its operations, `fence` is the lease."""
    inner: Store = FencedStore(adapter, fence) if fence is not None else adapter
    inner = RetryingStore(inner) if is_remote else inner
    return MeteredStore(inner, meter) if meter is not None else inner
