"""Many upstreams, each a miniature on loopback, mirrored together by one `syncd sync`, and what came of each."""

import json
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.acceptance.cli import Folder, start
from tests.miniatures.miniature import served


@dataclass(frozen=True)
class Seen:
    """What came of a pass over one upstream."""

    upstream: dict  # the files that the archive has
    copy: dict  # the files that the snapshot lists, as they are in the store
    said: dict  # the line that `sync --json` printed
    verdicts: dict  # how each transferred file was judged
    asked: tuple = ()  # the requests of this pass: method, path and query


def held(store, name, snapshot, prefix):
    """Read the files that the snapshot lists; the store also keeps, for a while, what was removed upstream."""
    sums = (store.root / f".syncd/snapshots/{name}/{snapshot}/SHA256SUMS").read_text()
    return {path: (store.root / prefix / path).read_bytes() for path in (line[66:] for line in sums.splitlines())}


def verdicts(events, name):
    """Return the verdict of every file of one mirror that was transferred."""
    finished = (event for event in events if event.get("event") == "TransferFinished" and event["mirror"] == name)
    return {event["path"]: event["verdict"] for event in finished}


@contextmanager
def archives(folder, kinds, **how):
    """Serve one upstream of each kind for as long as the block runs."""
    with ExitStack() as stack:
        upstreams = {name: make() for name, make in kinds.items()}
        origins = {name: stack.enter_context(served(each.app())) for name, each in upstreams.items()}
        yield Archives(folder, upstreams, origins, **how)


class Archives:
    """Served upstreams by name, each with its manifest; they share one store, state and configuration."""

    def __init__(self, folder, upstreams, origins, *, environ=None, config=lambda _: "", manifest=""):
        self.upstreams = upstreams
        self.store, self.state, self.config = Folder(folder / "store"), folder / "state", folder / "syncd.yaml"
        self.store.environ = environ or {}
        self.manifests = []
        for name, each in upstreams.items():
            self.manifests.append(folder / f"{name}.yaml")
            self.manifests[-1].write_text(each.manifest(origins[name], name) + manifest)
        self.config.write_text(f"allow_private: {json.dumps([*origins.values()])}\n{config(origins)}")

    def mirror(self):
        """Mirror all of them by one command, which must succeed; return what was seen of each."""
        before = {name: len(each.asked) for name, each in self.upstreams.items()}
        words = ("sync", *self.manifests, "--json", "--config", self.config)
        process = start(self.store, self.state, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=280)
        assert process.returncode == 0, f"{out}\n{err}"
        said = {line["mirror"]: line for line in map(json.loads, out.splitlines())}
        events = [json.loads(line) for line in err.splitlines()]
        return {
            name: Seen(
                each.copy(),
                held(self.store, name, said[name]["snapshot"], name),
                said[name],
                verdicts(events, name),
                tuple((request.method, request.path_qs) for request in each.asked[before[name] :]),
            )
            for name, each in self.upstreams.items()
        }

    def change(self):
        """Change every upstream."""
        for each in self.upstreams.values():
            each.change()


def check_whole_and_current(first, changed):
    """Compare a first pass and one after a change with what the upstream had each time."""
    for seen in (first, changed):
        assert seen.copy == seen.upstream
        assert (seen.said["complete"], seen.said["failed"]) == (True, 0)
    before, after = first.copy, changed.copy
    assert first.said["fetched"] == len(before)
    assert changed.said["fetched"] == len(after.keys() - before.keys())
    assert changed.said["removed"] == len(before.keys() - after.keys())
    same = sum(before.get(path) == content for path, content in after.items())
    assert changed.said["kept"] == same != len(after)
