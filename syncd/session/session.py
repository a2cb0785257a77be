"""The open resources of a command or the daemon: configuration, Catalogue, store and lease; composes passes."""

import asyncio
import io
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import msgspec

from manifests.messages import message
from manifests.model import Keep, Mirror
from manifests.origins import origin_of
from manifests.reading import DocumentRequest
from syncd.catalogue import Catalogue, MirrorRow
from syncd.config import Config, expiry_of, network_plan, plan_via, resolve_credential
from syncd.core import (
    ConfigError,
    Credential,
    Denied,
    HeadUnsigned,
    Listener,
    NetworkPlan,
    NotFound,
    OriginAway,
    OriginBack,
    Secrets,
    Store,
    SyncdError,
    TransferRetried,
    TransientError,
    Transport,
    UnknownName,
)
from syncd.engine import (
    HeadSigner,
    PassContext,
    Pool,
    anchor_audit,
    caught_up,
    error_name,
    go_on_after_anchor,
    is_restricted,
    roll_forward,
    unknown_mirror,
)
from syncd.session.manifests import parse
from syncd.session.plugins import ONCE, group_id, open_reader, start_policy, upstream_of
from syncd.session.recorded_changes import save_manifest
from syncd.session.signing import head_signer
from syncd.sources import EXTRAS, CredentialKeeper, MultiSourceTransport, TokenBroker, Upstream, open_upstream
from syncd.stores import LEASE, Lease
from syncd.streams import fetch
from syncd.workers import ProcessPool, processors
from syncd.wrappers import LONGEST_ABSENCE, Governors, OriginShare, Policy, retrying

VERSION = version("syncd")
MAX_TOKEN = 64 << 10  # bytes of a response that holds a token
TOKEN_ATTEMPTS = 4  # at a request for a token
_ACCESS = {"open": 0, "registered": 1, "restricted": 2, "controlled": 2, "embargoed": 2}  # the widest first
ANCHOR = 10.0  # seconds in which the end of the audit log is written to the store
SEVERAL = 3  # attempts at one of several sources


class Session(msgspec.Struct, frozen=True):
    """The open resources of a command or the daemon."""

    config: Config
    environ: Mapping[str, str]
    catalogue: Catalogue
    adapter: Store
    """The store without wrappers, for its lease and its identity."""
    lease: Lease
    store: Store
    governors: Governors
    hashing: Executor
    reading: Executor
    spool: Path
    listener: Listener
    stopping: asyncio.Event
    secrets: Secrets
    now: Callable[[], float] = time.time
    expiries: dict[str, float] = {}
    """The expiry of each used credential that has one, by name."""
    keepers: dict[str, CredentialKeeper] = {}
    """What keeps each used credential current, by name, shared by all mirrors."""

    def upstream(self, mirror: Mirror, number: int = 0) -> Upstream:
        """Return the values that open one of a mirror's sources, with its credential, which may be in a file.

        Raises ConfigError.
        """
        name = mirror.sources[number].credentials
        credential = self._read_credential(name) if name is not None else None
        return upstream_of(
            mirror,
            number,
            credential=credential,
            allow_private=self.config.allow_private,
            user_agent=self.user_agent,
            network=self._network(mirror, number),
        )

    def peer_upstream(self, url: str) -> Upstream:
        """Return the values that open a mirror at another node, to ask for its head. Blocks. Raises ConfigError."""
        return Upstream(
            url=url,
            where="peers.url",
            allow_private=self.config.allow_private,
            user_agent=self.user_agent,
            network=self._network(),
        )

    def _network(self, mirror: Mirror | None = None, number: int = 0) -> NetworkPlan | None:
        """Return how a source is reached, or the servers of tokens; None if directly. Blocks. Raises ConfigError."""
        config, environ = self.config, self.environ
        plan = network_plan(config.network, environ)
        if mirror is not None and (via := mirror.sources[number].via) is not None:
            where = f"{mirror.name}: source.via"
            plan = plan_via(plan, via, config.network, environ, where=where, allow_private=config.allow_private)
        for username, password in plan.secrets():
            self.secrets.learn_credential(username, password)
        return None if plan.is_default else plan

    @property
    def user_agent(self) -> str:
        """Return the User-Agent header."""
        return f"syncd/{VERSION} {self.config.user_agent}".rstrip()

    def _read_credential(self, name: str) -> Credential:
        """Return a credential with its secret, which never appears in output. Blocks. Raises ConfigError."""
        credential = resolve_credential(self.config, name, self.environ)
        self.secrets.learn_credential(credential.username, credential.secret, credential.token)
        if (expiry := expiry_of(credential)) is not None:
            self.expiries[credential.name] = expiry
        return credential

    def keeper(self, credential: Credential | None) -> CredentialKeeper | None:
        """Return what keeps a credential current, for a pass that begins; shared by all its mirrors."""
        if credential is None:
            return None
        held = self.keepers.get(credential.name)
        if held is not None and held.is_for(credential):
            held.begin_pass(credential)
            return held
        reread = partial(self._read_credential, credential.name)
        if credential.scheme == "oauth":
            held = TokenBroker(credential, self._post, self.secrets.learn_for_now, reread=reread)
        else:
            held = CredentialKeeper(credential, reread)
        self.keepers[credential.name] = held
        return held

    async def _post(self, url: str, body: bytes) -> bytes:
        """Post a form, without further credentials, and return the response."""
        where = Upstream(
            url=f"{origin_of(url)}/",
            where="token_url",
            allow_private=self.config.allow_private,
            user_agent=self.user_agent,
            network=await asyncio.to_thread(self._network),
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        transport = open_upstream(where, self.governors, policy=Policy(attempts=TOKEN_ATTEMPTS), is_side=True)
        try:
            follow = DocumentRequest(url, "POST", headers, body, max_bytes=MAX_TOKEN)
            return (await fetch(transport, follow, io.BytesIO())).read(MAX_TOKEN)
        finally:
            await transport.aclose()

    def pool(self, mirror: Mirror, upstream: Upstream) -> Pool | None:
        """Return the pool of workers for small files of `upstream`, or None.

        None if a remote store, not the processor, is the bottleneck.
        """
        where = self.config.store.url
        count = processors() if self.config.workers is None else self.config.workers
        if where.startswith("s3://") or count < 2 or mirror.source.scheme in EXTRAS or len(mirror.sources) > 1:
            return None
        settings = self.config.credentials.get(mirror.source.credentials or "")
        if settings is not None and (settings.oauth is not None or settings.login is not None):
            return None  # this process holds the one login, which workers cannot share
        folder = os.path.abspath(where.removeprefix("file://"))  # noqa: PTH100  links in it stay as they are
        is_narrow = is_restricted(mirror, self.now())
        group = group_id(self.config.store.group) if is_narrow and self.config.store.group is not None else None
        return ProcessPool(count, upstream, folder, self.governors, self.listener, is_narrow, group)

    async def identify_store(self) -> None:
        """Check the store's id; a session that may write records it. Raises Offline if it is another store."""
        known = self.catalogue.settings.get("store")
        if known is None and self.catalogue.read_only:
            return  # no pass has recorded a store yet, and the check would give this one an id
        found = await retrying(lambda: self.adapter.identify(known), LEASE, start_policy(self.config.store.url))
        if known is None:
            self.catalogue.settings.set("store", found)

    @asynccontextmanager
    async def hold_lease(self) -> AsyncIterator[bool]:
        """Hold the store's lease over the block; yield True if the Catalogue was brought up to the store first.

        On a store without locks the lease settles meanwhile: changes of the store wait for it, reading does not.
        An empty Catalogue is rebuilt, as are mirrors of which the store knows more, and a publish that a crash
        interrupted is finished. Raises Busy if another process has the lease. If it is lost, the block is cancelled
        and LeaseLost raised.
        """
        async with (
            _hold(self.lease, start_policy(self.config.store.url)),
            caught_up(
                self.store,
                self.catalogue,
                self.listener,
                self.retention,
                self.now,
                previous=self.lease.previous,
                epoch=self.lease.epoch,
                settle=self._settle_lease,
            ) as was_behind,
        ):
            known = await go_on_after_anchor(self.store, self.catalogue, self.now())
            try:
                yield was_behind
            finally:
                with suppress(SyncdError, TimeoutError):
                    async with asyncio.timeout(ANCHOR):
                        await anchor_audit(self.store, self.catalogue, self.now(), known)

    async def _settle_lease(self) -> None:
        await retrying(self.lease.settle, LEASE, start_policy(self.config.store.url))

    async def finish_publishes(self) -> bool:
        """Finish every publish that a crash interrupted; return True if there was one."""
        return await roll_forward(self.store, self.catalogue, self.listener, self.retention, self.now)

    def retention(self, name: str) -> Keep | None:
        """Return the retention of a mirror, or None if its manifest is not known."""
        try:
            return self.manifest(name).keep
        except (NotFound, ConfigError):
            return None

    @asynccontextmanager
    async def source(self, mirror: Mirror) -> AsyncIterator[Transport]:
        """Open a mirror's source with its credential."""
        async with self._opened(mirror, await self._upstreams(mirror), None) as source:
            yield source

    async def _upstreams(self, mirror: Mirror) -> list[Upstream]:
        """Return the values that open each source of a mirror; reads each credential once."""
        return [await asyncio.to_thread(self.upstream, mirror, number) for number in range(len(mirror.sources))]

    @asynccontextmanager
    async def _opened(
        self, mirror: Mirror, upstreams: list[Upstream], connections: OriginShare | None
    ) -> AsyncIterator[Transport]:
        def on_retry(path: str, error: TransientError, attempt: int, wait: float) -> None:
            self.listener(TransferRetried(mirror.name, path, str(error), attempt, wait, error_name(error)))

        def on_absence(origin: str, reason: str, seconds: float | None) -> None:
            if seconds is None:
                self.listener(OriginAway(mirror.name, origin, reason, LONGEST_ABSENCE))
            else:
                self.listener(OriginBack(mirror.name, origin, round(seconds, 1), not reason))

        # with an alternative source, few retries are spent on one that fails
        policy = Policy(attempts=SEVERAL, holds=False) if len(upstreams) > 1 else None
        opened: list[tuple[str, Transport]] = []
        try:
            for upstream in upstreams:
                keeper = self.keeper(upstream.credential)
                one = open_upstream(
                    upstream,
                    self.governors,
                    policy=policy,
                    on_retry=on_retry,
                    on_absence=on_absence,
                    keeper=keeper,
                    connections=connections,
                )
                opened.append((upstream.url, one))
            several = MultiSourceTransport(opened, fastest=mirror.choose == "fastest") if len(opened) > 1 else None
            yield several if several is not None else opened[0][1]
        finally:
            for _, transport in opened:
                await transport.aclose()

    @asynccontextmanager
    async def pass_context(
        self,
        mirror: Mirror,
        *,
        connections: OriginShare | None = None,
        retry_failed: bool = False,
        is_patient: bool = False,
    ) -> AsyncIterator[PassContext]:
        """Compose the context of a pass over `mirror`; `connections` is its share of the daemon's connections."""
        today = datetime.now(UTC).date()
        upstreams = await self._upstreams(mirror)
        async with self._opened(mirror, upstreams, connections) as source, AsyncExitStack() as stack:
            pool = await asyncio.to_thread(self.pool, mirror, upstreams[0])
            if pool is not None:
                stack.push_async_callback(pool.aclose)
            yield PassContext(
                mirror=mirror,
                reader=open_reader(mirror.source, today),
                others=tuple(open_reader(one, today) for one in mirror.sources[1:]),
                source=source,
                store=self.store,
                catalogue=self.catalogue,
                hashing=self.hashing,
                reading=self.reading,
                spool=self.spool,
                listener=self.listener,
                stopping=self.stopping,
                node=self.config.serve.name if self.config.serve is not None else "",
                heads=await asyncio.to_thread(self._signer_of, mirror),
                pool=pool,
                quarantine_share=self.config.retention.quarantine_share,
                lends=cache(partial(self._lends, mirror)),
                retry_failed=retry_failed,
                is_patient=is_patient,
            )

    def _lends(self, borrower: Mirror, name: str) -> bool:
        """Return True if a checksum suffices to use a mirror's content: its access is no narrower."""
        try:
            lender = self.manifest(name)
        except (NotFound, ConfigError):
            return False
        return _ACCESS.get(lender.about.access or "", 0) <= _ACCESS.get(borrower.about.access or "", 0)

    def mirror(self, name: str) -> MirrorRow:
        """Return a mirror from the Catalogue. Raises NotFound."""
        row = self.catalogue.history.mirror(name)
        if row is None:
            raise unknown_mirror(name)
        return row

    def manifest(self, name: str) -> Mirror:
        """Return the manifest with which a mirror was last synced. Raises NotFound, ConfigError."""
        text = self.catalogue.settings.get(f"manifest:{name}")
        if text is None:
            raise UnknownName(
                message("{name}: its manifest is not recorded yet: run `syncd sync FILE` once", name=name)
            )
        return parse(text, f"{name} (as last synced)")

    def signer(self, name: str) -> HeadSigner | None:
        """Return what signs the head of a mirror, by its manifest as last synced; None if nothing does. Blocks."""
        try:
            return self._signer_of(self.manifest(name))
        except (NotFound, ConfigError):
            return None

    def _signer_of(self, mirror: Mirror) -> HeadSigner | None:
        """Return what signs the head of a mirror. If its key cannot be read, that is reported, and the copy goes on."""
        try:
            return head_signer(self.config.serve, mirror, self.environ)
        except ConfigError as error:
            self.listener(HeadUnsigned(mirror.name, str(error)))
            return None

    def save_manifest(self, name: str, text: str, *, file: str = "", who: str = "", door: str = "file") -> None:
        """Record the manifest with which a mirror is synced, and a change of it in the audit log."""
        save_manifest(self.catalogue, name, text, at=self.now(), file=file, who=who, door=door)
        if self.catalogue.settings.get(f"withdrawn:{name}"):
            self.catalogue.settings.set(f"withdrawn:{name}", "")


@asynccontextmanager
async def _hold(lease: Lease, policy: Policy = ONCE) -> AsyncIterator[None]:
    """Hold the lease over the block; if it is lost, the block is cancelled and LeaseLost raised."""
    await retrying(lease.begin, LEASE, policy)
    try:
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(lease.renew_forever())
            try:
                yield
            finally:
                keeper.cancel()
    finally:
        with suppress(TransientError, Denied):
            await lease.release()
