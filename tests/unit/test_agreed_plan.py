"""A plan that was agreed to: its steps in any order are the same plan, and one without room is not begun."""

from types import SimpleNamespace

import pytest
from hypothesis import given, strategies as st

from manifests.model import load_mirror
from manifests.stat import Stat
from syncd.core import NoSpace, Step
from syncd.engine.agreed_plan import AgreedPlan
from syncd.engine.plan_file import PlanHeader, StepSum, manifest_sha256

MIRROR = load_mirror("mirror: m\nsource: {url: 'https://x.example/'}\n", "m.yaml")

steps = st.builds(
    Step,
    st.sampled_from(["fetch", "replace", "remove"]),
    st.text(),
    st.text(),
    st.none() | st.builds(Stat, st.just("p"), st.none() | st.integers(0, 9), st.none(), st.none() | st.text()),
    st.integers(0, 9),
)


def summed(listed):
    total = StepSum()
    for step in listed:
        total.add(step)
    return total.hexdigest()


@given(st.lists(steps), st.randoms(use_true_random=False))
def test_the_order_of_steps_and_their_reasons_make_no_other_plan(listed, random):
    shuffled = [Step(step.action, step.path, "another reason", step.stat, step.bytes) for step in listed]
    random.shuffle(shuffled)
    assert summed(shuffled) == summed(listed)


@given(st.lists(steps, min_size=1))
def test_a_step_less_or_twice_is_another_plan(listed):
    assert summed(listed[1:]) != summed(listed) != summed([*listed, listed[0]])


async def test_a_plan_that_needs_more_room_than_there_is_begins_nothing(tmp_path):
    header = PlanHeader(
        1, "m", "m.yaml", manifest_sha256(MIRROR), "", 0.0, complete=True, files={}, download_bytes=10, steps=0,
        steps_sha256=summed([]),
    )  # fmt: skip

    async def free():
        return 9

    context = SimpleNamespace(
        mirror=MIRROR, free=free, catalogue=SimpleNamespace(claims=SimpleNamespace(steps=lambda *_: iter(())))
    )
    planning = SimpleNamespace(inventory=SimpleNamespace(complete=True), counts=SimpleNamespace(download_bytes=10))
    row = SimpleNamespace(id=1, name="m", snapshot="")
    with pytest.raises(NoSpace, match="10 bytes are to be transferred, and 9 are free"):
        await AgreedPlan(tmp_path / "m.plan", header).require(context, row, planning)  # type: ignore[arg-type]  # the parts that it asks
