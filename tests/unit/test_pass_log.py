"""The log of one pass: failures and retries up to a bound; its outcome always; how much was left out."""

from syncd.core.events import PassFinished, Published, TransferAdvanced, TransferFailed, TransferRetried
from syncd.daemon.pass_log import MOST, MOST_RETRIES, PassLog


def retried(number):
    return TransferRetried("m", f"f{number}", "the server is busy", attempt=1, wait=2.0)


def failed(number):
    return TransferFailed("m", f"f{number}", "NotFound", False, f"f{number}: not there")


FINISHED = PassFinished("m", "", False, 1, 0, 0, 0, 0, 5, 10, 1.0)


def test_retries_are_written_down_up_to_a_bound_and_the_rest_is_counted():
    log = PassLog(lambda: 1000.0)
    for number in range(MOST_RETRIES + 7):
        log.on_event(retried(number))
    log.end()
    *written, last = log.waiting
    assert [row.path for row in written] == [f"f{number}" for number in range(MOST_RETRIES)]
    assert written[0].text == "the server is busy; try 2 follows in 2.0 s"
    assert (last.event, last.text) == ("left_out", "7 more events were not recorded")


def test_a_long_log_leaves_failures_out_and_never_the_outcome():
    log = PassLog(lambda: 1000.0)
    for number in range(MOST + 3):
        log.on_event(failed(number))
    log.on_event(Published("m", "a" * 64, 1, 10, True))
    log.on_event(FINISHED)
    log.end()
    events = [row.event for row in log.waiting]
    assert events == ["transfer_failed"] * MOST + ["published", "pass_finished", "left_out"]
    assert log.waiting[-1].text == "3 more events were not recorded"
    assert [row.id for row in log.waiting] == list(range(1, len(log.waiting) + 1))


def test_progress_is_not_written_down_and_a_short_log_leaves_nothing_out():
    log = PassLog(lambda: 1000.0)
    log.on_event(TransferAdvanced("m", "f", 10))
    log.on_event(FINISHED)
    log.end()
    (row,) = log.waiting
    assert (row.level, row.event, row.at) == ("warning", "pass_finished", 1000.0)
