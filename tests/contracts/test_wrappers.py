"""Every wrapper forwards the whole port, and keeps each capability of what it wraps."""

import inspect
from collections.abc import Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from manifests.reading.document import Document
from manifests.stat import Stat
from syncd.core import ports
from syncd.core.ports import Asking, Body, Credential, Staged, Store, Transport, Wrapper, capability
from syncd.sources.credential_keeper import CredentialKeeper
from syncd.sources.credentialed_transport import CredentialedTransport, RenewableAdapter
from syncd.sources.s3_routing import S3RoutedTransport
from syncd.streams.documents import open_request
from syncd.wrappers import base
from syncd.wrappers.derived_file_transport import DerivedFileTransport
from syncd.wrappers.failover_transport import FailoverTransport
from syncd.wrappers.fair_share import alone
from syncd.wrappers.fair_transport import FairTransport
from syncd.wrappers.fenced_store import FencedStore
from syncd.wrappers.governed_transport import GovernedTransport
from syncd.wrappers.governors import Governors
from syncd.wrappers.metered_store import Meter, MeteredStore
from syncd.wrappers.retrying_store import RetryingStore
from syncd.wrappers.retrying_transport import Retrying

CAPABILITIES = [
    kind
    for name, kind in vars(ports).items()
    if getattr(kind, "_is_runtime_protocol", False)
    and kind.__module__ == ports.__name__
    and kind not in {ports.CopyingBody, ports.ReceivingSink}  # of a body, and of a sink
]
ME = Credential("mine", "http://h", "bearer", "s3cret")


def credentialed(inner):
    adapter = renewable(inner)
    return CredentialedTransport(adapter, CredentialKeeper(ME), "http://h/", adapter)


def renewable(inner):
    return RenewableAdapter(lambda _: inner, CredentialKeeper(ME))


TRANSPORTS: dict[str, Any] = {
    "credentialed": credentialed,
    "derived": lambda inner: DerivedFileTransport(inner, Path("spool")),
    "failover": lambda inner: FailoverTransport(inner, ()),
    "fair": lambda inner: FairTransport(inner, alone(1, 1)),
    "governed": lambda inner: GovernedTransport(inner, Governors(), "http://h/"),
    "renewable": renewable,
    "retrying": Retrying,
    "routed": lambda inner: S3RoutedTransport(inner, lambda _: inner),
}
STORES: dict[str, Any] = {
    "fenced": lambda inner: FencedStore(inner, Held()),
    "metered": lambda inner: MeteredStore(inner, Meter()),
    "retrying": RetryingStore,
}
WRAPPERS = TRANSPORTS | {f"{name} store": make for name, make in STORES.items()}


class Able:
    """A store with every capability; it says what was called."""

    piece = 7
    certificates: Mapping[str, float] = {"https://h": 1.0}
    connections = 3
    active = 0
    room: Any = None
    window = most = 7

    def __init__(self):
        self.called: list[tuple[str, Any]] = []
        self.links: dict[str, str] = {}

    def held(self, size):
        return size or 0

    def skipped(self):
        return {"links": 1}

    def use_narrow(self, prefixes):
        self.called.append(("use_narrow", prefixes))

    async def set_modes(self, prefix, after):
        return prefix + after

    def open_descriptor(self, path):
        return self, len(path)

    async def signed_link(self, path, *, method, seconds, query, endpoint=""):
        return f"{method} {path} {seconds} {sorted(query)} {endpoint}"

    async def copyable_from(self, url, size):
        return f"{url} {size}"

    async def may_copy(self, url, size):
        return bool(url and size)

    def copy_token(self, url, version):
        return f"{url} {version}"

    async def _pages(self, name, *given):
        self.called.append((name, given))
        yield [Stat("a")]

    async def list(self, prefix=""):
        self.called.append(("list", (prefix,)))
        yield Stat("a")

    def list_pages(self, prefix="", after=""):
        return self._pages("list_pages", prefix, after)

    @asynccontextmanager
    async def open(self, path, *, start=0, stop=None, version=None):
        self.called.append(("open", (path, start, stop, version)))
        body: Any = _Nothing()
        yield body

    @asynccontextmanager
    async def stage(self, path, *, size, resume=None, is_record=False, in_place=False, of=None):
        self.called.append(("stage", (path, size, resume, is_record, in_place, of)))
        staged: Any = _Nothing()
        yield staged

    @asynccontextmanager
    async def ask(self, method, url, headers=None, body=b""):
        self.called.append(("ask", (method, url, headers, body)))
        answer: Any = _Nothing()
        yield answer

    async def answer(self, follow, spool):
        return Document(follow, follow.url, {}, spool)

    def failed(self, number):
        self.called.append(("failed", (number,)))

    def targets(self, stat):
        return (f"http://h/{stat.path}",)

    def use_guard(self, guard):
        self.called.append(("use_guard", (guard,)))

    def sums(self, paths, is_over):
        return ["0" * 64 for _ in paths if not is_over()]

    def __getattr__(self, name):
        if name.startswith("_") or name not in CALLS:
            raise AttributeError(name)

        async def call(*given, **named):
            self.called.append((name, (*given, *named.values())))
            return "answer"

        return call


class Held:
    """A right to write that never ends."""

    def is_current(self):
        return True

    async def confirm(self):
        raise AssertionError("it is current")


class Plain:
    """A store without any capability."""

    piece = 7


class _Nothing:
    token, present_ranges = "t", ()
    stat, start, stop, headers, url = Stat("p"), 0, 0, {}, "http://h/p"

    async def __aiter__(self):
        yield b""


CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "stat": (("p",), {}),
    "put": (("p", b"1"), {"if_absent": True, "sha256": "0"}),
    "move": (("p", "q"), {}),
    "copy": (("p", "q"), {}),
    "delete": (("p",), {}),
    "identify": (("id",), {}),
    "free": ((), {}),
    "sweep": ((1.0,), {}),
    "aclose": ((), {}),
}


def methods(port):
    return {name for name, value in inspect.getmembers(port, inspect.isfunction) if not name.startswith("_")}


def test_the_bases_forward_the_whole_port_and_nothing_else():
    assert methods(base.TransportWrapper) == methods(Transport)
    assert methods(base.StoreWrapper) == methods(Store) == {*CALLS, "list", "list_pages", "open", "stage"}
    assert methods(base.StagedWrapper) == methods(Staged)
    for wrapper, port in ((base.StoreWrapper, Store), (base.StagedWrapper, Staged)):
        for name in methods(port):
            assert inspect.signature(getattr(wrapper, name)) == inspect.signature(getattr(port, name)), name


def test_every_wrapper_of_the_tree_is_tried_here():
    tried = {type(make(Able())) for make in WRAPPERS.values()}
    found, waiting = set(), [Wrapper]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            found.add(kind)
    assert found - tried - {base.TransportWrapper, base.StoreWrapper} == set()


@pytest.mark.parametrize("kind", CAPABILITIES)
@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_keeps_each_capability_of_what_it_wraps(name, kind):
    inner = Able()
    found = capability(WRAPPERS[name](WRAPPERS[name](inner)), kind)
    assert found is inner or isinstance(found, Wrapper)
    assert isinstance(found, kind)


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_has_no_capability_but_those_it_defines(name):
    wrapper = WRAPPERS[name](Plain())
    assert {kind for kind in CAPABILITIES if capability(wrapper, kind) is not None} == {
        kind for kind in CAPABILITIES if isinstance(wrapper, kind)
    }


@pytest.mark.parametrize("name", ["fair", "governed", "routed", "retrying"])
async def test_a_request_passes_through_the_wrapper_and_reaches_the_transport(name):
    inner = Able()
    asking = capability(WRAPPERS[name](inner), Asking)
    assert asking is not None
    async with asking.ask("POST", "http://h/q", {"accept": "a/b"}, b"1"):
        pass
    assert inner.called == [("ask", ("POST", "http://h/q", {"accept": "a/b"}, b"1"))]
    async with open_request(WRAPPERS[name](inner), "POST", "http://h/q", {}, b"2"):
        pass
    assert inner.called[-1] == ("ask", ("POST", "http://h/q", {}, b"2"))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", STORES)
async def test_a_store_is_called_as_its_wrapper_is(name, call):
    inner, (given, named) = Able(), CALLS[call]
    assert await getattr(STORES[name](inner), call)(*given, **named) in ("answer", None)
    assert inner.called == [(call, (*given, *named.values()))]


@pytest.mark.parametrize("name", WRAPPERS)
async def test_bodies_and_listings_come_through_and_bodies_claim_what_the_inner_one_claims(name):
    inner = Able()
    wrapper = WRAPPERS[name](inner)
    assert [stat.path async for page in wrapper.list_pages("a", "a") for stat in page] == ["a"]
    assert [stat.path async for stat in wrapper.list("a")] == ["a"]
    async with wrapper.open("p", start=0, stop=5, version=None) as body:
        claimed: Body = body
        assert (claimed.stat, claimed.start, claimed.stop, claimed.url) == (Stat("p"), 0, 0, "http://h/p")
    assert ("open", ("p", 0, 5, None)) in inner.called


@pytest.mark.parametrize("name", STORES)
async def test_a_staging_comes_through(name):
    inner = Able()
    store = STORES[name](inner)
    assert store.piece == 7
    async with store.stage("p", size=3, resume="t", is_record=True, in_place=True, of="q") as staged:
        assert (staged.token, staged.present_ranges) == ("t", ())
    assert inner.called == [("stage", ("p", 3, "t", True, True, "q"))]
