"""Mirrors on a hostile, changing upstream while the daemon is killed again and again; then the truth is counted.

`make soak` runs it: some minutes. SOAK_SECONDS sets how long the trouble lasts (default 90), SOAK_SEED repeats one.
The upstream has bad days: files that are emptied or half written for a while, listings that are cut or whose clock
jumps by an hour, pages in place of files, an ETag of each backend, servers that lose their ranges or reboot. Six more
mirrors want a token, a key or signed links, which end while files are on their way. A kind of bad day that was not
reached fails the run.
Afterwards every copy is what upstream has, byte for byte, and nothing has leaked: no memory, descriptor, thread, child
process, staged or temporary object.
"""

import asyncio
import collections
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from syncd.stores.filesystem.store import FilesystemStore
from tests.acceptance.cli import SYNCD
from tests.hostile.faults import CloseUnanswered, Reset, Status, Truncate
from tests.soak.bad_days import KINDS, BadServer
from tests.soak.guarded_servers import GUARDED, KeyServer, LinkServer, TokenServer

SECONDS = float(os.environ.get("SOAK_SECONDS", "90"))
SEED = int(os.environ.get("SOAK_SEED", "7"))
WARY = 2 * len(GUARDED)  # mirrors of the guarded servers; they are the first, and so are surveyed first in each life
MIRRORS = 50 + WARY
SETTLING = 150.0  # seconds in which all must be right after the trouble
QUIET = 12.0  # seconds over which an idle daemon is watched for what grows

CONFIG = """
state: ./state
store: {{url: ./store}}
manifests: [./m]
listen: 127.0.0.1:0
allow_private: {origins}
credentials:
  token: {{origin: "{token}", oauth: {{token_url: "{token}/token", client_id: soak, client_secret: {{file: ./key}}}}}}
  key: {{origin: "{key}", bearer: {{file: ./key}}}}
budget: {{keep_free: 0 B, passes: 8}}
backup: {{every: 20s, keep: 3}}
log: {{level: info}}
"""


def name_of(number):
    return f"m{number:02}"


class Upstream:
    """Two origins with fifty archives of mixed size that never rest, and three guarded ones with two each."""

    def __init__(self, chance, servers):
        self.chance, self.servers = chance, servers
        self.unfinished = []  # when a file that is emptied or half written is whole again, and which
        self.is_listed = {}
        self.down = []  # when a server comes back, and which

    def server(self, number):
        return self.servers[number % 2 if number >= WARY else 2 + number // 2]

    def fill(self):
        for number in range(MIRRORS):
            self.is_listed[number] = number % 3 == 0 and number >= WARY
            count, most = (300, 4_000) if number % 12 in (1, 5) else (6, 9 << 20) if number % 12 == 2 else (20, 30_000)
            for n in range(count):
                self.put(number, f"d{n % 4}/f{n:03}.dat", self.chance.randrange(most))
            self.sums(number)

    def put(self, number, path, size):
        """Write a file; through a listing alone a change shows in its length."""
        whole = f"{name_of(number)}/{path}"
        before = self.server(number).files.get(whole)
        if before is not None and len(before.content) == size:
            size += 1
        self.server(number).put(
            whole, self.chance.randbytes(size), modified=1_700_000_000.0 + self.chance.randrange(10**7)
        )

    def sums(self, number):
        if not self.is_listed[number]:
            return
        lines = [f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in self.truth(number).items()]
        self.server(number).put(f"{name_of(number)}/SHA256SUMS", "".join(lines).encode(), modified=time.time())

    def truth(self, number):
        prefix = f"{name_of(number)}/"
        return {
            path.removeprefix(prefix): file.content
            for path, file in sorted(self.server(number).files.items())
            if path.startswith(prefix) and not path.endswith("SHA256SUMS")
        }

    def change(self):
        number = self.chance.randrange(MIRRORS)
        paths = list(self.truth(number))
        what = self.chance.random()
        if what < 0.5:
            path, size = self.chance.choice(paths), self.chance.randrange(40_000)
            # one file always stays whole: if all that we hold were lost at once, the guard would rightly hold it
            least = len(self.truth(number)[path]) if path == STAYS else 0
            self.put(number, path, least + size)
        elif what < 0.85 or len(paths) < 5:
            self.put(number, f"new/n{self.chance.randrange(10**6)}.dat", self.chance.randrange(40_000))
        else:
            gone = self.chance.choice([path for path in paths if path != STAYS])
            self.server(number).remove(f"{name_of(number)}/{gone}")
        self.sums(number)

    def spoil(self, now):
        """Empty a file, or write half of it, for a second or two; one that was so long enough becomes whole again."""
        while self.unfinished and self.unfinished[0][0] < now:
            self.heal()
        if self.chance.random() > 0.15:
            return
        number = self.chance.randrange(MIRRORS)
        path = self.chance.choice([path for path in self.truth(number) if path != STAYS])
        whole, server = f"{name_of(number)}/{path}", self.server(number)
        if whole in server.marked:
            return
        kind = self.chance.choice(["emptied file", "half-written file"])
        size = 0 if kind == "emptied file" else len(server.files[whole].content) // 2
        server.marked[whole] = kind
        server.put(whole, self.chance.randbytes(size), modified=1_700_000_000.0 + self.chance.randrange(10**7))
        self.sums(number)
        self.unfinished.append((now + self.chance.uniform(1, 3), number, path))

    def heal(self):
        _, number, path = self.unfinished.pop(0)
        self.server(number).marked.pop(f"{name_of(number)}/{path}", None)
        self.put(number, path, 1 + self.chance.randrange(40_000))
        self.sums(number)

    def jump(self):
        """Let the clock of the listings jump by an hour, and the backends show ETags of their own, or the same again."""
        server = self.chance.choice(self.servers)
        server.listing_shift = 3600.0 - server.listing_shift
        server.has_backends = not server.has_backends

    def lose_ranges(self):
        """Let a server ignore ranges, or obey them again."""
        server = self.chance.choice(self.servers)
        server.has_ranges = not server.has_ranges

    async def reboot(self, now):
        """Take a server down; one that was down long enough comes back."""
        while self.down and self.down[0][0] < now:
            await self.down.pop(0)[1].come_up()
        if self.chance.random() < 0.006:
            server = self.chance.choice(self.servers)
            if server.is_up:
                await server.go_down()
                self.down.append((now + 1.5, server))

    def turn(self):
        """End a token, a key or the signed links."""
        self.chance.choice(self.servers[2:]).turn()

    def trouble(self):
        fault = self.chance.choice(
            [Status(503), Status(500), Status(404), Truncate(10), Reset(), Reset(5), CloseUnanswered()]
        )
        self.chance.choice(self.servers[:2]).fault(None, fault)
        if self.chance.random() < 0.02:
            self.chance.choice(self.servers[2:]).fault(None, self.chance.choice([Status(503), Reset(5)]))

    async def calm(self):
        while self.unfinished:
            self.heal()
        while self.down:
            await self.down.pop(0)[1].come_up()
        for server in self.servers:
            server._planned.clear()
            server.is_calm, server.has_backends, server.has_ranges = True, False, True
            server.listing_shift = 0.0


class Daemon:
    """The daemon under test, and what can be seen of it from outside."""

    def __init__(self, root):
        self.root, self.lives, self.process = root, 0, None
        self.log = (root / "log").open("ab")

    def start(self):
        self.lives += 1
        self.log.flush()
        self.began_at = (self.root / "log").stat().st_size
        self.process = subprocess.Popen(
            [SYNCD, "run", "--config", self.root / "syncd.yaml"], stdout=self.log, stderr=self.log, cwd=self.root
        )

    def kill(self):
        assert self.process.poll() is None, f"it ended by itself: {self.tail()}"
        self.process.kill()
        self.process.wait()

    def tail(self):
        return (self.root / "log").read_text()[-4000:]

    def url(self):
        """The address of this life, or None before it listens."""
        log = (self.root / "log").read_bytes()[self.began_at :].decode()
        found = [line for line in log.splitlines() if '"event": "serving"' in line]
        return json.loads(found[0])["url"] if found else None

    def weight(self):
        """Bytes in memory, descriptors, threads, children."""
        proc = Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line)
        children = (proc / f"task/{self.process.pid}/children").read_text().split()
        return (
            int(status["VmRSS"].split()[0]) << 10,
            len(list((proc / "fd").iterdir())),
            int(status["Threads"]),
            len(children),
        )


async def mirrors(daemon, session):
    url = daemon.url()
    if url is None:
        return []
    try:
        async with session.get(f"{url}/api/v1/mirrors") as answer:
            found = await answer.json()
    except aiohttp.ClientError:
        return []
    return found["mirrors"] if isinstance(found, dict) else found


def declare(root, upstream):
    for number in range(MIRRORS):
        server, name = upstream.server(number), name_of(number)
        how = ", reader: checksums, checksums: [SHA256SUMS]" if upstream.is_listed[number] else ""
        if number < WARY:
            how = (", credentials: token", ", credentials: key", ", reader: stac, collections: [c]")[number // 2]
        (root / f"m/{name}.yaml").write_text(
            f"mirror: {name}\nsource: {{url: '{server.url(name)}/'{how}}}\nschedule: {{every: {6 + number % 5}s}}\n"
            "guard: {max_removed: 10000}\nkeep: {versions: 1, replaced: 5s, removed: 5s}\nverify: {scrub: 60s}\n"
        )


async def harry(daemon, upstream, chance):
    """Change upstream, break its answers, and kill the daemon, for a while; returns how often it was killed."""
    until, kills, next_kill = time.monotonic() + SECONDS, 0, time.monotonic() + chance.uniform(6, 14)
    while (now := time.monotonic()) < until:
        upstream.change()
        upstream.spoil(now)
        if chance.random() < 0.02:
            upstream.jump()
        if chance.random() < 0.02:
            upstream.lose_ranges()
        if chance.random() < 0.2:
            upstream.turn()
        await upstream.reboot(now)
        if chance.random() < 0.6:
            upstream.trouble()
        if now >= next_kill:
            await asyncio.to_thread(daemon.kill)
            daemon.start()
            kills, next_kill = kills + 1, now + chance.uniform(6, 14)
        await asyncio.sleep(0.05)
    return kills


async def settled(daemon, session, since):
    """Wait until every mirror has a complete pass that began after `since`."""
    deadline, late = time.monotonic() + SETTLING, ["not asked yet"]
    while late and time.monotonic() < deadline:
        assert daemon.process.poll() is None, daemon.tail()
        url = daemon.url()
        views = await mirrors(daemon, session)
        late = [] if len(views) == MIRRORS else [f"{len(views)} mirrors shown"]
        for view in views:
            last = view["last"]
            if last is None or last["outcome"] != "complete" or last["began"] < since:
                late.append(f"{view['name']}: {view['state']}, {view['reason']}, {last}")
                if view["state"] in {"failing", "idle"}:
                    await session.post(f"{url}/api/v1/mirrors/{view['name']}/sync", headers=OPERATOR)
        await asyncio.sleep(0.5)
    assert not late, "\n".join(late[:5])


STAYS = "d0/f000.dat"
TOKEN = "soak-" + "x" * 40
OPERATOR = {"Authorization": f"Bearer {TOKEN}"}


def held(root, name):
    """What the current snapshot names, by path; and that the bytes at those paths are these."""
    pointer = json.loads((root / f"store/.syncd/mirrors/{name}.json").read_text())
    sums = root / f"store/.syncd/snapshots/{name}/{pointer['snapshot']}/SHA256SUMS"
    found = {}
    for line in sums.read_text().splitlines():
        digest, _, path = line.partition("  ")
        content = (root / "store" / name / path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest, f"{name}: {path}"
        found[path] = content
    return found


async def nothing_left_behind(root):
    assert not list((root / "state").glob("spool-*")), "spools"
    staged = list((root / "store/.syncd/staged").rglob("*")) if (root / "store/.syncd/staged").exists() else []
    assert [path for path in staged if path.is_file()] == [], "replacements"
    store = FilesystemStore(root / "store")
    await store.sweep(0.0)  # end the grace period of what nobody resumed
    await store.aclose()
    left = [path for path in (root / "store/.syncd/tmp").rglob("*") if path.is_file()]
    assert left == [], "temporary files"


@pytest.mark.timeout(600)
async def test_soak(tmp_path):
    chance = random.Random(SEED)
    (tmp_path / "m").mkdir()
    async with (
        BadServer(chance) as one,
        BadServer(chance) as other,
        TokenServer(chance) as token,
        KeyServer(chance, tmp_path / "key") as key,
        LinkServer(chance) as link,
        aiohttp.ClientSession() as session,
    ):
        servers = [one, other, token, key, link]
        upstream = Upstream(chance, servers)
        upstream.fill()
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        tokens = f'tokens: [{{name: soak, role: operator, sha256: "{digest}"}}]\n'
        (tmp_path / "syncd.yaml").write_text(
            CONFIG.format(origins=[server.origin for server in servers], token=token.origin, key=key.origin) + tokens
        )
        declare(tmp_path, upstream)
        daemon = Daemon(tmp_path)
        daemon.start()
        try:
            kills = await harry(daemon, upstream, chance)
            await upstream.calm()
            began = time.time()
            await settled(daemon, session, began)
            for number in range(MIRRORS):
                copy = await asyncio.to_thread(held, tmp_path, name_of(number))
                truth = upstream.truth(number)
                copy.pop("SHA256SUMS", None)
                assert copy.keys() == truth.keys(), name_of(number)
                assert copy == truth, name_of(number)
            first = daemon.weight()
            await asyncio.sleep(QUIET)
            last = daemon.weight()
            views = await mirrors(daemon, session)
            assert [view["name"] for view in views if view["faults"]] == [], "damage that is none"
            daemon.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(daemon.process.wait, 45) == 0, daemon.tail()
        finally:
            if daemon.process.poll() is None:
                daemon.kill()
            daemon.log.close()
        log = (tmp_path / "log").read_text()
        said = (
            f"{kills} kills in {SECONDS:.0f} s; {sum(len(server.requests) for server in servers):,} requests; "
            f"{log.count('pass_finished'):,} passes; settled {time.time() - began:.0f} s after; "
            f"memory {first[0] / 1e6:.0f} -> {last[0] / 1e6:.0f} MB, descriptors {first[1]} -> {last[1]}, "
            f"threads {first[2]} -> {last[2]}, children {last[3]}"
        )
        sys.stderr.write(f"\n{said}\n")
        reached = sum((server.reached for server in servers), collections.Counter())
        kinds = (*KINDS, *GUARDED)
        sys.stderr.write(f"bad days: {', '.join(f'{kind} {reached[kind]:,}' for kind in kinds)}\n")
        assert kills >= SECONDS / 20
        assert [kind for kind in kinds if not reached[kind]] == [], "a bad day that was not reached shows nothing"
        bugs = [line for line in log.splitlines() if "Traceback" in line or '"event": "bug"' in line]
        assert bugs == []
        assert last[0] < first[0] * 1.1 + (8 << 20), f"memory grows: {said}"
        assert last[1] <= first[1] + 40, f"descriptors grow: {said}"
        assert last[2] <= first[2] + 4, f"threads grow: {said}"
        assert last[3] == 0, f"children stay: {said}"
        await nothing_left_behind(tmp_path)
