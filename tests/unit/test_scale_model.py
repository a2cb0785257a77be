"""The model of a hundred million files, and its page."""

from tests.bench import scale_model


def test_the_page_shows_what_the_model_computes():
    text = scale_model.PAGE.read_text("utf-8")
    assert text == scale_model.written(), "run python -m tests.bench.scale_model --write"


def test_one_changed_file_costs_the_same_whatever_is_held_and_a_change_in_each_shard_costs_all():
    small, _, large = scale_model.HOLDINGS
    one = [scale_model.republished(holding, 1) for holding in (small, large)]
    assert abs(one[0] - one[1]) < 0.01 * one[0]
    everything = large.files * scale_model.REPACKED.value * 1e-6
    assert 0.99 * everything < scale_model.republished(large, large.files / 1_000) <= everything
