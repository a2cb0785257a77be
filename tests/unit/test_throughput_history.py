"""The last day of a mirror: one sample every few minutes, the oldest first, however long the daemon runs."""

from syncd.daemon.throughput_history import KEPT, STEP, ThroughputHistory


def filled(steps):
    """A history in which the rate of sample n is n bytes a second."""
    history, received = ThroughputHistory(), 0.0
    history.add_sample(0.0, 0.0, 0, 0)
    for number in range(steps):
        received += number * STEP
        history.add_sample((number + 1) * STEP, received, number, 10 * number)
    return history


def test_a_sample_is_the_mean_rate_and_the_backlog_of_its_time():
    first, second = filled(2).samples()
    assert (first.at, first.rate, first.backlog_files, first.backlog_bytes) == (STEP, 0.0, 0, 0)
    assert (second.at, second.rate, second.backlog_files, second.backlog_bytes) == (2 * STEP, 1.0, 1, 10)


def test_what_comes_sooner_than_a_step_makes_no_sample_and_is_not_lost():
    history = ThroughputHistory()
    for at, received in ((0.0, 100.0), (STEP / 3, 400.0), (STEP / 2, 500.0)):
        history.add_sample(at, received, 1, 1)
    assert list(history.samples()) == []
    history.add_sample(STEP, 100.0 + STEP, 1, 1)
    (sample,) = history.samples()
    assert sample.rate == 1.0


def test_after_a_day_the_oldest_samples_make_room_and_the_order_stays():
    rates = [sample.rate for sample in filled(KEPT + 5).samples()]
    assert rates == [float(number) for number in range(5, KEPT + 5)]


def test_a_clock_that_is_set_back_starts_afresh_and_gives_no_wrong_rate():
    history = filled(3)
    history.add_sample(10.0, 10**9, 1, 1)
    history.add_sample(10.0 + STEP, 10**9 + STEP, 1, 1)
    assert [sample.rate for sample in history.samples()] == [0.0, 1.0, 2.0, 1.0]


def test_bytes_that_were_counted_anew_give_no_negative_rate():
    history = filled(1)
    history.add_sample(2 * STEP, -5000.0, 1, 1)
    assert [sample.rate for sample in history.samples()] == [0.0, 0.0]
