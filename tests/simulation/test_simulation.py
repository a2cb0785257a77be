"""Seeded histories keep every promise; and where the program is broken on purpose, they notice."""

import collections
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from manifests.model.removal_guard import Guard
from syncd.engine import verified_file, verify
from syncd.engine.inventory import Inventory
from syncd.stores.lease import Lease
from tests.simulation import memory_store, upstream
from tests.simulation.scenario import Scenario, Step, scenario_of
from tests.simulation.shrinking import failures, play, shrink, tell

SEEDS = 100
BLOCK = 25
REACHED = {"kill", "store", "network", "rollback", "undelete", "approve", "damage", "damage found"}


def check(seeds):
    """Play seeds; whatever breaks a promise is told, and what no seed reached as well."""
    reached = collections.Counter()
    stories = [*failures(seeds, lambda played: reached.update(played.reached))]
    assert not stories, "\n" + "\n\n".join(stories)
    return reached


@pytest.mark.promise("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P9", "P10")
def test_a_seeded_history_keeps_every_promise_at_each_step():
    reached = check(range(BLOCK))
    assert reached.keys() >= REACHED - {"undelete"}, "histories without trouble prove nothing"


@pytest.mark.parametrize("first", range(BLOCK, SEEDS, BLOCK))
def test_a_hundred_seeds_keep_every_promise(first):
    assert check(range(first, first + BLOCK)).keys() >= REACHED - {"undelete"}


@pytest.mark.parametrize("seed", [641, 1050, 1155, 1377, 1573, 1709, 2122, 2283, 2315, 2987, 9711])
def test_histories_that_once_broke_a_promise_keep_it(seed):
    """Found by the campaign: journals written twice, rot before the pointer, old state folders, records left over."""
    check([seed])


def test_a_seed_is_one_history_to_the_byte_in_any_process():
    script = (
        "import hashlib; from tests.simulation.scenario import scenario_of; from tests.simulation.shrinking import play\n"
        "for seed in range(8): print(hashlib.sha256('\\n'.join(play(scenario_of(seed)).trace).encode()).hexdigest())"
    )
    root = Path(__file__).parents[2]
    told = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    here = [hashlib.sha256("\n".join(play(scenario_of(seed)).trace).encode()).hexdigest() for seed in range(8)]
    assert told == [here, here]
    assert len(set(here)) == len(here), "different seeds gave one history"


# -- the program broken on purpose ------------------------------------------------------------------------------------


def pointer_before_snapshot(patch):
    put, held = memory_store.SimulatedStore.put, {}

    async def early(self, path, body, **more):
        if path.endswith("/snapshot.json"):
            held[path] = body
            return await self._act(path, lambda: None)
        done = await put(self, path, body, **more)
        for late in [*held] if path.startswith(".syncd/mirrors/") else ():
            await put(self, late, held.pop(late))
        return done

    patch.setattr(memory_store.SimulatedStore, "put", early)


def anything_is_verified(patch):
    patch.setattr(verified_file, "decide_verdict", lambda stat, received: "verified")


def acknowledged_before_it_is_durable(patch):
    put = memory_store.SimulatedStore.put

    async def careless(self, path, body, **more):
        if path.startswith("m/") and self.chance.random() < 0.2:
            return memory_store.Stat(path, len(body))
        return await put(self, path, body, **more)

    patch.setattr(memory_store.SimulatedStore, "put", careless)


def replaced_bytes_are_not_kept(patch):
    copy = memory_store.SimulatedStore.copy

    async def forgetful(self, path, to):
        if not to.startswith(".syncd/versions/"):
            await copy(self, path, to)

    patch.setattr(memory_store.SimulatedStore, "copy", forgetful)


def a_broken_listing_counts(patch):
    patch.setattr(Inventory, "complete", property(lambda self: True))


def nothing_is_held_for_approval(patch):
    patch.setattr(Guard, "holds", lambda *_, **__: None)


def two_writers(patch):
    patch.setattr(Lease, "_is_free", lambda *_, **__: True)
    patch.setattr(memory_store.SimulatedFolder, "lock", lambda self: _no_lock())


async def _no_lock():
    return object()


def versions_are_not_bound(patch):
    opened = upstream.SimulatedUpstream.open
    patch.setattr(
        upstream.SimulatedUpstream,
        "open",
        lambda self, path, *, start=0, stop=None, version=None: opened(self, path, start=start, stop=stop),
    )


def signed_urls_are_kept(patch):
    patch.setattr(verified_file, "_unsigned_url", lambda url: url)


def damage_is_overlooked(patch):
    async def blind(self, entry):
        return None

    patch.setattr(verify.Verification, "_read_one", blind)


def noisy(scenario):
    """Passes over a bad network from an upstream that publishes checksums."""
    steps = tuple(
        msgspec.structs.replace(step, kind="pass", network=0.3, kill=0, listing="") for step in scenario.steps[1:5]
    )
    return msgspec.structs.replace(scenario, has_digests=True, steps=(scenario.steps[0], *steps))


def restless(scenario):
    """Passes over an upstream that publishes no checksums and changes while it is read."""
    steps = tuple(msgspec.structs.replace(step, kind="living", network=0.0, kill=0) for step in scenario.steps[1:6])
    return msgspec.structs.replace(scenario, has_digests=False, steps=(scenario.steps[0], *steps))


def crowded(scenario):
    """Two daemons at once, again and again."""
    steps = tuple(msgspec.structs.replace(step, kind="both", kill=0, daemon=0) for step in scenario.steps[1:5])
    return msgspec.structs.replace(scenario, steps=(scenario.steps[0], *steps))


BROKEN = [
    ("P2", pointer_before_snapshot, 1, None),
    ("P1", anything_is_verified, 10, noisy),
    ("P2", acknowledged_before_it_is_durable, 12, None),
    ("P6", replaced_bytes_are_not_kept, 10, None),
    ("P5", a_broken_listing_counts, 40, None),
    ("P5", nothing_is_held_for_approval, 30, None),
    ("P3", two_writers, 5, crowded),
    ("P1", versions_are_not_bound, 20, restless),
    ("P10", signed_urls_are_kept, 1, None),
    ("P7", damage_is_overlooked, 10, None),
]


@pytest.mark.parametrize(("promise", "break_it", "within", "focus"), BROKEN, ids=[one[1].__name__ for one in BROKEN])
def test_a_program_that_breaks_a_promise_is_noticed_within_some_seeds(monkeypatch, promise, break_it, within, focus):
    break_it(monkeypatch)
    scenarios = map(focus or (lambda scenario: scenario), map(scenario_of, range(within)))
    assert any(play(scenario).promise == promise for scenario in scenarios)


@pytest.mark.parametrize("focus", [noisy, restless, crowded])
def test_what_shows_a_broken_program_shows_nothing_of_a_sound_one(focus):
    assert {play(focus(scenario_of(seed))).promise for seed in range(10)} == {""}


def test_a_failing_seed_tells_a_short_story_and_how_to_see_it_again(monkeypatch):
    replaced_bytes_are_not_kept(monkeypatch)
    scenario = next(one for one in map(scenario_of, range(50)) if play(one).promise == "P6")
    failed = play(scenario)
    short = shrink(failed)
    assert short.promise == "P6"
    assert len(short.scenario.steps) <= 4 < len(scenario.steps), short.scenario.story()
    story = tell(short, scenario)
    assert "=> P6: " in story
    assert f"again: python -m tests.simulation {scenario.seed}" in story
    assert len(story.splitlines()) < 25


def test_steps_that_do_not_matter_are_left_out_and_troubles_that_do_not_matter_too():
    failing = Step("pass", 3, kill=7, network=0.5)
    steps = (Step("add", 1, count=3), Step("wait", 2, days=1.0), failing, Step("verify", 4), Step("rollback", 5))
    scenario = Scenario(1, is_bucket=True, has_digests=True, versions=2, steps=steps)

    def replay(candidate):
        from tests.simulation.shrinking import Played

        is_broken = any(step.kind == "pass" and step.kill == 7 for step in candidate.steps)
        return Played(candidate, "P4" if is_broken else "", "", 0, frozenset(), ())

    short = shrink(replay(scenario), replay)
    assert short.scenario.steps == (Step("pass", 3, kill=7),)
