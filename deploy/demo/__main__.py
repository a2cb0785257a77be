"""Shows syncd at work on this machine: a first copy, a change upstream, the daemon with its page, three nodes.

It runs the real command line against real HTTP servers on loopback, and leaves everything under `./demo` to look at.
With ONCE=1 in the environment it ends by itself, else with Ctrl-C.
"""

import asyncio
import gzip
import json
import os
import shlex
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import archive
import live
import nodes
import serve

RATE = 40e6  # bytes a second: a good link to a far archive
HOME = Path("demo")
UPSTREAM, STORE, STATE = HOME / "upstream", HOME / "store", HOME / "state"
MANIFESTS = HOME / "manifests.d"
MANIFEST = HOME / "scenes.yaml"

MANIFEST_TEXT = """\
# What to copy, and from where. This file is all that syncd needs; every key: docs/writing-a-manifest.md

mirror: scenes                     # the name of this mirror, here and in every command
title: Demo scenes                 # what people read

source:
  url: {origin}/scenes/    # the archive of a publisher: here a small one on your machine
  reader: checksums                # upstream says what it has in checksum lists,
  checksums: [SHA256SUMS]          # in this one

guard: {{max_removed: 10%}}          # if upstream deletes more, nothing is deleted here until you approve
keep: {{versions: 2, removed: 30d}}  # keep two earlier snapshots, and deleted files for thirty days

about: {{licence: CC0-1.0, access: open}}
"""

BOLD, PLAIN = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")


def say(text: str) -> None:
    """Print a line of the story."""
    print(text, flush=True)


def chapter(text: str) -> None:
    """Begin the next part of the story."""
    say(f"\n{BOLD}{text}{PLAIN}")


async def run(*words: str | Path, quiet: bool = False) -> str:
    """Run a command, shown as one would type it; `quiet` returns its output instead of showing it."""
    if not quiet:
        say(f"$ {shlex.join(map(str, words))}")
    program = Path(sys.executable).with_name("syncd") if words[0] == "syncd" else words[0]
    process = await asyncio.create_subprocess_exec(
        program, *words[1:], stdout=asyncio.subprocess.PIPE if quiet else None
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        sys.exit(f"{shlex.join(map(str, words))}: ended with exit code {process.returncode}")
    return output.decode() if output else ""


async def sync(origin: str) -> None:
    """Run one pass, and check what it left with the system's own tool."""
    await run("syncd", "sync", MANIFEST, "--store", STORE, "--state", STATE, "--allow-private", origin)
    await check()


async def check() -> None:
    """Compare every file with the snapshot's SHA256SUMS, without syncd."""
    identity = json.loads((STORE / ".syncd/mirrors/scenes.json").read_bytes())["snapshot"]
    say(f"  verdicts: {verdicts(identity)}")
    sums = f"../.syncd/snapshots/scenes/{identity}/SHA256SUMS"
    tool = "sha256sum" if shutil.which("sha256sum") else "shasum -a 256"
    command = f"cd {STORE / 'scenes'} && {tool} -c {sums}"
    say(f"$ ({command})")
    lines = (await run("sh", "-c", command, quiet=True)).splitlines()
    say(f"  … {len(lines):,} lines, the last: {lines[-1]}")


def verdicts(identity: str) -> str:
    """Return how the files of a snapshot were proved; every snapshot names where that is written."""
    snapshot = json.loads((STORE / ".syncd/snapshots/scenes" / identity / "snapshot.json").read_bytes())
    counts: Counter[str] = Counter()
    for origins in snapshot["origins"]:
        lines = gzip.decompress((STORE / f".syncd/shards/scenes/{origins}.origins.jsonl.gz").read_bytes()).splitlines()
        counts.update(json.loads(line)["verdict"] for line in lines)
    verified, attested = counts["verified"], counts["attested"]
    return f"{verified} verified (upstream publishes their checksums), {attested} attested (it does not)"


def start_afresh() -> Path:
    """Drop what an earlier demo left, and build the archive; returns its folder."""
    for part in (UPSTREAM, STORE, STATE, MANIFESTS, HOME / "node-two", HOME / "node-three"):
        shutil.rmtree(part, ignore_errors=True)
    archive.build(UPSTREAM / "scenes")
    return UPSTREAM / "scenes"


async def tell() -> None:
    """Tell the whole story."""
    story = asyncio.current_task()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, story.cancel)  # leave no daemon behind
    chapter("A small archive opens on this machine.")
    origin_folder = start_afresh()
    async with serve.serving(UPSTREAM, RATE) as origin:
        MANIFEST.write_text(MANIFEST_TEXT.format(origin=origin))
        files = [file for file in origin_folder.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files)
        say(f"{origin}/scenes/: {len(files)} files, {size / 1e6:.0f} MB, at most {RATE / 1e6:.0f} MB/s")
        say(f"{MANIFEST} says what to mirror; read it, it is short")

        chapter("1. The first pass copies and verifies everything.")
        await sync(origin)

        chapter("2. The second pass finds that nothing has changed.")
        await sync(origin)

        replaced, added, dropped = archive.change(origin_folder)
        chapter("3. Upstream replaces one file, adds one and deletes one; the next pass follows.")
        say(f"replaced {replaced}\nadded    {added}\ndeleted  {dropped}")
        await sync(origin)

        chapter("What syncd knows now.")
        await run("syncd", "status", "--store", STORE, "--state", STATE)
        await run("syncd", "snapshots", "scenes", "--store", STORE, "--state", STATE)
        say(f"The copy is {STORE / 'scenes'}, plain files under their own names.")

        chapter("4. From now on a daemon keeps it current, and four more archives with it.")
        await keep_current(origin)


async def keep_current(origin: str) -> None:
    """Run the daemon with its page until Ctrl-C, or until every mirror had a pass and three nodes agreed."""
    MANIFESTS.mkdir()
    once = live.hurried()
    every = "5s" if once else "30s"
    scheduled = MANIFEST.read_text().replace("\nguard:", f"\nschedule: {{every: {every}}}\n\nguard:")
    (MANIFESTS / MANIFEST.name).write_text(scheduled)
    one = nodes.Node("demo-one", HOME, page=live.listen())
    others = [nodes.Node("demo-two", HOME / "node-two"), nodes.Node("demo-three", HOME / "node-three")]
    await nodes.make_keys([one, *others])
    async with live.publishing(UPSTREAM, MANIFESTS, hurry=once) as origins:
        say(f"$ {live.shown(HOME)}")
        allowed = [origin, *origins, *(f"http://{node.face}" for node in others)]
        async with live.daemon(HOME, one.page, allowed, more=one.serving() + nodes.watching(others)) as one.token:
            if not once:
                say(f"The status page: {BOLD}http://{one.page}/{PLAIN}")
                say(f"To sync, pause or approve there, log in with the token {one.token}")
            mirrors = await live.first_passes(one.page, 1 + len(live.PUBLISHERS))
            say(f"$ curl http://{one.page}/api/v1/mirrors")
            for mirror in mirrors:
                counted = f"{mirror['files']} files, {mirror['failed']} failed to download"
                say(f"  {mirror['name']}: {mirror['health']}, {counted}")
                for failure in (await live.failures(one.page, mirror["name"])) if mirror["failed"] else ():
                    say(f"    {failure['reason']}")
            await share(one, others, once=once)
    say("\nThe daemons have stopped and the archives are closed again.")


async def share(one: nodes.Node, others: list[nodes.Node], *, once: bool) -> None:
    """Let two nodes mirror the first one, and cut one of them off for a while."""
    chapter("5. The daemon is a node: two others mirror it, and trust its key.")
    say(f"{others[0].home}/manifests.d/{nodes.MIRROR}.yaml says how; their daemons run as the first one does")
    async with serve.relayed(one.face) as way, nodes.following(one, others, way):
        show(one, await nodes.until(one, nodes.agree))

        chapter("6. One of them is cut off, and the archive grows.")
        way.cut()
        live.more_buoys(UPSTREAM / nodes.MIRROR, 1)
        before = one.snapshot
        await nodes.sync(one)
        await nodes.until(one, lambda copies: copies[0]["snapshot"] != before)
        await nodes.sync(others[0])
        show(one, await nodes.until(one, lambda copies: nodes.agree(copies, 2)))

        chapter("7. It is reached again.")
        way.mend()
        await nodes.sync(others[1])
        show(one, await nodes.until(one, nodes.agree))
        assert len({node.snapshot for node in (one, *others)}) == 1
        say("All three have one snapshot id: their copies are equal, byte for byte.")
        if not once:
            say(f"\nThe archives change every few seconds; {HOME / 'daemon.log'} has the details. Ctrl-C ends it.")
            await live.change(UPSTREAM)


def show(one: nodes.Node, copies: list[dict]) -> None:
    """Show whose copy is how fresh, as the page does."""
    say(f"$ curl http://{one.page}/api/v1/mirrors/{nodes.MIRROR}/copies")
    for copy in copies:
        when = time.strftime("%H:%M:%S", time.gmtime(copy["upstream_checked"]))
        state = "this node" if copy["role"] == "here" else "the same" if copy["is_same"] else "another snapshot"
        say(f"  {copy['node']:10}  {copy['snapshot'][:12]}  {state:16}  original surveyed at {when}Z")
    say(f"The page shows the same: http://{one.page}/mirrors/{nodes.MIRROR}")


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parents[2])
    HOME.mkdir(exist_ok=True)
    try:
        asyncio.run(tell())
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
