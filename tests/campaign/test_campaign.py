"""A campaign goes on where it ended, adds up, and fails if it reached no fault; the fuzzer finds what is planted."""

import itertools

import pytest

from tests.campaign import fuzzing
from tests.campaign.__main__ import PartState, is_good, load, run_part, sum_up
from tests.campaign.parts import PARTS, TARGETS, Piece


def test_a_part_that_was_stopped_goes_on_with_the_piece_that_comes_next(tmp_path):
    asked = []

    def pieces(first):
        asked.append(first)
        return (Piece(1, 1) for _ in range(first, 5))

    for expected in (1, 2):
        state = run_part("part", pieces, tmp_path, tree="t", longest=-1.0)  # one piece, and the time is over
        assert (state.pieces, state.is_over) == (expected, False)
    state = run_part("part", pieces, tmp_path, tree="t")
    assert (asked, state.pieces, state.tried, state.is_over) == ([0, 1, 2], 5, 5, True)
    assert run_part("part", pieces, tmp_path, tree="t") == load(tmp_path / "part.json")
    assert len(asked) == 3, "a part that is over began again"
    assert run_part("part", pieces, tmp_path, tree="another").pieces == 5
    assert asked[-1] == 0, "another tree did not begin again"


def test_a_run_in_which_no_fault_was_reached_fails(tmp_path):
    blind = run_part("blind", lambda first: iter([Piece(1000, 0)]), tmp_path, tree="t")
    assert not is_good(blind)
    assert not is_good(run_part("wrong", lambda first: iter([Piece(1, 1, ("seed 1: …",))]), tmp_path, tree="t"))
    assert is_good(run_part("good", lambda first: iter([Piece(1, 1)]), tmp_path, tree="t"))
    assert is_good(None), "a part that was not run is told, and is no failure"


def test_the_sum_names_every_part_and_what_is_not_over():
    states = {
        "simulation": PartState("abc", 5, 5, 9, 0, 120.0, is_over=True),
        "fuzzing": PartState("abc"),
        "sigkill": None,
    }
    head, *lines = sum_up(states)
    assert [line.split()[0] for line in lines] == [*states]
    assert "run it again" in lines[1]
    assert "not run" in lines[2]
    assert "reached" in head


def test_every_target_has_a_part_of_the_hour_and_a_small_corpus():
    assert set(TARGETS) == set(fuzzing.targets())
    assert len(PARTS) == 6
    for target in TARGETS:
        bodies = fuzzing.corpus(target)
        assert bodies
        assert sum(map(len, bodies)) < 32 << 10


@pytest.mark.parametrize("target", TARGETS)
def test_a_moment_of_fuzzing_finds_no_exception_that_a_reader_may_not_raise(target):
    call = fuzzing.targets()[target]
    found = [*fuzzing.fuzz(target, call, fuzzing.corpus(target), seed=1, seconds=1.0)]
    assert [str(one) for one in found] == []


def planted(body):
    """Fail for one word that chance alone would not write in a thousand years."""
    if body[:1] != b"s":
        return
    if body[1:2] != b"y":
        return
    if body[2:3] != b"n":
        return
    if body[3:4] == b"c":
        raise KeyError("planted")


def test_coverage_leads_to_a_fault_behind_four_conditions():
    inputs = itertools.count()
    coverage = fuzzing.Coverage(scanned=(__file__,))
    found = fuzzing.fuzz(
        "planted", planted, [b"....."], seed=3, seconds=60.0, coverage=coverage, on_input=lambda: next(inputs)
    )
    finding = next(found)
    assert finding.body.startswith(b"sync")
    assert "planted" in finding.what
    assert next(inputs) < 200_000
