"""The end of the demo: the daemon is a node, two others mirror it, and one of them is cut off for a while.

Each is a `syncd run` of its own, with its own store and key. They know each other by their public keys only: what one
has, the next believes because of a signature, not because of an address.
"""

import asyncio
import json
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import live
import serve

MIRROR = "buoys"
PATIENCE = 180.0  # seconds in which the nodes must agree

SERVE = """\
serve:
  listen: {face}
  url: http://{face}/
  name: {name}
  publisher: {{name: Demo Mirror Centre}}
  key: {{file: {name}.key}}
  limits: {{requests: 2000/s}}
"""

PEER = '  - {{url: "http://{face}/", keys: ["{key}"], mirrors: [{mirror}], every: 1s}}\n'

MANIFEST = """\
# One node mirrors another: its key says that the list is true, whoever sends it; more: docs/mirroring-a-node.md

mirror: {mirror}
title: Hourly buoy observations, by way of demo-one
source: {{url: "{origin}/mirrors/{mirror}/", reader: syncd, keys: ["{key}"]}}
schedule: {{every: 15s}}
about: {{licence: CC0-1.0, access: open, redistribution: allowed}}
publish: {{access: open}}
"""


@dataclass(slots=True)
class Node:
    """One node of the demo: where its files are, and where its page and its public side listen."""

    name: str
    home: Path
    page: str = field(default_factory=live.free_address)
    face: str = field(default_factory=live.free_address)
    key: str = ""
    token: str = ""

    def serving(self) -> str:
        """Return the part of its configuration that makes it a node."""
        return SERVE.format(face=self.face, name=self.name)

    @property
    def snapshot(self) -> str:
        """The id that its store names as the current one."""
        return str(json.loads((self.home / f"store/.syncd/mirrors/{MIRROR}.json").read_bytes())["snapshot"])


async def make_keys(nodes: list[Node]) -> None:
    """Make a key for each node, as `syncd key new` does."""

    async def make(node: Node) -> None:
        node.home.mkdir(parents=True, exist_ok=True)
        file = node.home / f"{node.name}.key"
        file.unlink(missing_ok=True)
        program = Path(sys.executable).with_name("syncd")
        made = await asyncio.create_subprocess_exec(
            program, "key", "new", "--out", file, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await made.communicate()
        node.key = next(word for word in output.decode().split() if word.startswith("RW"))

    await asyncio.gather(*map(make, nodes))


def watching(nodes: list[Node]) -> str:
    """Return the part of a configuration that watches the copies of other nodes."""
    return "peers:\n" + "".join(PEER.format(face=one.face, key=one.key, mirror=MIRROR) for one in nodes)


@asynccontextmanager
async def following(first: Node, others: list[Node], cut: serve.Relay) -> AsyncIterator[None]:
    """Run the daemons of nodes that mirror the first one; the last of them reaches it through `cut` only."""
    async with AsyncExitStack() as stack:
        for node in others:
            origin = cut.origin if node is others[-1] else f"http://{first.face}"
            manifests = node.home / "manifests.d"
            manifests.mkdir(exist_ok=True)
            (manifests / f"{MIRROR}.yaml").write_text(MANIFEST.format(mirror=MIRROR, origin=origin, key=first.key))
            node.token = await stack.enter_async_context(
                live.daemon(node.home, node.page, [origin], more=node.serving(), wait=False)
            )
        await asyncio.gather(*(live.answering(node.page) for node in others))
        yield


async def until(first: Node, true: Callable[[list[dict]], bool]) -> list[dict]:
    """Wait until something is true of the copies that the first node knows of; returns them."""
    async with asyncio.timeout(PATIENCE):
        while True:
            copies = (await live.ask(first.page, f"/api/v1/mirrors/{MIRROR}/copies")).get("copies", [])
            if true(copies):
                return copies
            await asyncio.sleep(0.2)


def agree(copies: list[dict], count: int = 3) -> bool:
    """Return True if so many nodes have the snapshot that the first one has."""
    return sum(one["is_same"] for one in copies) == count


async def sync(node: Node) -> None:
    """Ask a node for a pass now, as its page does."""
    headers = {"Authorization": f"Bearer {node.token}"}
    url = f"http://{node.page}/api/v1/mirrors/{MIRROR}/sync"
    request = urllib.request.Request(url, method="POST", headers=headers)

    def post() -> None:
        with urllib.request.urlopen(request, timeout=10):
            pass

    try:
        await asyncio.to_thread(post)
    except urllib.error.HTTPError as error:
        if error.code != 409:  # it is at it
            raise
