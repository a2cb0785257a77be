"""What people and programs see of a pass, and what it costs the pass."""

import io
import json
import os
import pty
import sys
import tracemalloc

import pytest

from syncd.cli.progress.bars import RichProgress
from syncd.cli.progress.display import for_terminal
from syncd.cli.progress.plain import REPEATED, JsonProgress, PlainProgress, line_of
from syncd.core.events import (
    DocumentFailed,
    PassFinished,
    Planned,
    Published,
    SurveyAdvanced,
    SurveyStarted,
    TransferAdvanced,
    TransferFailed,
    TransferFinished,
    TransferRetried,
    TransferStarted,
)
from syncd.core.text import printable
from syncd.engine.pass_progress import PassProgress, Speed


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError

    def flush(self):
        raise BrokenPipeError


@pytest.fixture
def terminal():
    """A real terminal: the stream to write to, and what a person saw on it."""
    master, slave = pty.openpty()
    stream = os.fdopen(slave, "w")
    seen = bytearray()

    def look():
        stream.flush()
        os.set_blocking(master, False)
        try:
            while chunk := os.read(master, 1 << 16):
                seen.extend(chunk)
        except OSError:
            pass
        return seen.decode(errors="replace")

    yield stream, look
    stream.close()
    os.close(master)


@pytest.mark.fault(48)
@pytest.mark.parametrize(
    "hostile", ["\x1b[2J", "a\rb", "a\nb", "\x9b31m", "\u202egpj.exe", "a\u200bb", "\x00", "\ud800"]
)
def test_nothing_printable_commands_a_terminal_or_hides(hostile):
    shown = printable(hostile)
    assert shown.isprintable()
    assert shown != hostile


def test_letters_of_every_script_stay_as_they_are():
    assert printable("Überfläche/数据 σ.nc") == "Überfläche/数据 σ.nc"


def test_a_tally_remembers_only_what_is_under_way():
    tally = PassProgress("m")
    tally.on_event(Planned("m", 300_000, 0, 0, 0, 0, 300_000, complete=True))
    tracemalloc.start()
    for number in range(100_000):
        path = f"folder/{number}"
        tally.on_event(TransferStarted("m", path, 1))
        tally.on_event(TransferFinished("m", path, 1, "verified", replaced=False, seconds=0.1))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 100_000
    assert (tally.files, tally.arrived, tally.moving) == (100_000, 100_000, {})


def test_bytes_that_had_to_come_twice_never_show_more_than_the_whole():
    tally = PassProgress("m")
    tally.on_event(Planned("m", 2, 0, 0, 0, 0, 200, complete=True))
    tally.on_event(TransferStarted("m", "a", 100))
    for _ in range(3):
        tally.on_event(TransferAdvanced("m", "a", 90))
    assert tally.share() == 0.5


def test_where_upstream_says_no_sizes_the_files_are_the_measure():
    tally = PassProgress("m")
    tally.on_event(Planned("m", 4, 0, 0, 0, 0, 17, complete=True))
    tally.on_event(TransferStarted("m", "a", None))
    tally.on_event(TransferAdvanced("m", "a", 5_000_000))
    assert tally.share() == 0.0
    tally.on_event(TransferFinished("m", "a", 5_000_000, "verified", replaced=False, seconds=1.0))
    assert tally.share() == 0.25


def test_a_file_that_failed_is_behind_us():
    tally = PassProgress("m")
    tally.on_event(Planned("m", 2, 0, 0, 0, 0, 200, complete=True))
    tally.on_event(TransferStarted("m", "a", 100))
    tally.on_event(TransferFailed("m", "a", "Interrupted", quarantined=False, reason="a: broken"))
    assert (tally.share(), tally.files, tally.failed) == (0.5, 1, 1)


def test_a_speed_forgets_what_was_long_ago():
    speed = Speed(window=10.0)
    for second in range(100):
        slow = speed.at(float(second), second * 1000.0)
    assert slow == 1000.0
    for second in range(100, 120):
        stalled = speed.at(float(second), 99_000.0)
    assert stalled == 0.0


def test_plain_lines_come_at_changes_and_every_few_seconds_not_for_every_file():
    stream, clock = io.StringIO(), Clock()
    progress = PlainProgress(stream, clock)
    progress.listener(SurveyStarted("m"))
    progress.listener(Planned("m", 1000, 0, 0, 0, 0, 1000, complete=True))
    for number in range(1000):
        progress.listener(TransferFinished("m", str(number), 1, "verified", replaced=False, seconds=0.1))
        clock.now += 0.01
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[2] == "m: 501 of 1,000 files, 501 B of 1 kB, 100 B/s"


@pytest.mark.fault(48)
def test_a_plain_line_stays_one_line_whatever_upstream_wrote():
    stream = io.StringIO()
    PlainProgress(stream).listener(DocumentFailed("m", "http://x/\x1b]0;own\x07", "bad\nm: published 0000"))
    assert stream.getvalue() == "m: failed to read: http://x/\\x1b]0;own\\x07: bad\\nm: published 0000\n"


@pytest.mark.parametrize("display", [PlainProgress, JsonProgress])
def test_a_stream_that_breaks_makes_a_display_silent_and_fails_nothing(display):
    with display(Broken()) as progress:
        progress.listener(SurveyStarted("m"))
        progress.listener(DocumentFailed("m", "u", "r"))
        progress.count_verified(1, 1)


def test_a_million_failures_are_a_few_lines_and_a_number():
    stream = io.StringIO()
    progress = PlainProgress(stream, Clock())
    for number in range(1000):
        progress.listener(TransferFailed("m", str(number), "NotFound", quarantined=False, reason=f"{number}: gone"))
        progress.listener(TransferRetried("m", str(number), "reset", 1, 0.5))
    assert len(stream.getvalue().splitlines()) == 2 * REPEATED


def test_json_is_one_plain_ascii_object_a_line():
    stream = io.StringIO()
    progress = JsonProgress(stream, Clock())
    progress.listener(TransferFailed("m", "a\nb\x9b\x7f\u202e", "Mismatch", quarantined=True, reason="why"))
    (line,) = stream.getvalue().splitlines()
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {
        "event": "TransferFailed",
        "mirror": "m",
        "path": "a\nb\x9b\x7f\u202e",
        "reason": "why",
        "error": "Mismatch",
        "quarantined": True,
    }


def test_json_says_once_a_second_how_far_we_are():
    stream, clock = io.StringIO(), Clock()
    progress = JsonProgress(stream, clock)
    progress.listener(Planned("m", 1, 0, 0, 0, 0, 1000, complete=True))
    progress.listener(TransferStarted("m", "a", 1000))
    for _ in range(250):
        progress.listener(TransferAdvanced("m", "a", 4))
        clock.now += 0.01
    far = [one for line in stream.getvalue().splitlines() if (one := json.loads(line))["event"] == "Progress"]
    assert [one["bytes"] for one in far] == [404, 804]


def test_json_says_what_a_verification_looked_at():
    stream = io.StringIO()
    with JsonProgress(stream) as progress:
        progress.count_verified(2, 300)
        progress.count_verified(1, 0)
    assert json.loads(stream.getvalue()) == {"event": "Verified", "files": 3, "bytes": 300}


def test_bars_leave_stdout_alone(terminal, capsys):
    stream, look = terminal
    with RichProgress(stream) as progress:
        progress.listener(SurveyStarted("m"))
        progress.listener(SurveyAdvanced("m", 1, 2, 3))
        before = sys.stdout
        print("an inventory's line")
    assert before is sys.stdout
    assert capsys.readouterr().out == "an inventory's line\n"
    assert "inventory's" not in look()


def test_bars_show_the_whole_and_the_largest_and_vanish(terminal):
    stream, look = terminal
    progress = RichProgress(stream)
    with progress:
        progress.listener(SurveyStarted("scenes"))
        progress.listener(Planned("scenes", 9, 0, 0, 0, 0, 500 << 20, complete=True))
        for number in range(9):
            progress.listener(TransferStarted("scenes", f"[bold]band-{number}\x1b[2J", (10 + number) << 20))
            progress.listener(TransferAdvanced("scenes", f"[bold]band-{number}\x1b[2J", 5 << 20))
        progress._live.refresh()
        shown = look()
        assert "0 of 9 files" in shown
        assert "[bold]band-8\\x1b[2J" in shown
        assert "band-4" not in shown
        assert "\x1b[2J" not in shown
        progress.listener(TransferFailed("scenes", "x", "NotFound", quarantined=False, reason="x: gone [red]"))
        assert "scenes: failed: x: gone [red]" in look()
        progress.listener(PassFinished("scenes", "", True, 9, 0, 0, 0, 0, 0, 1, 1.0))
        assert progress._live is None
        progress.listener(SurveyStarted("other"))
        assert progress._live is not None
    assert progress._live is None


def test_the_display_fits_where_it_is_shown(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream, _ = terminal
    assert isinstance(for_terminal(stream, os.environ, json=False), RichProgress)
    assert isinstance(for_terminal(stream, os.environ, json=True), JsonProgress)
    assert isinstance(for_terminal(io.StringIO(), {}, json=False), PlainProgress)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(for_terminal(stream, os.environ, json=False), PlainProgress)


@pytest.mark.parametrize(("count", "said"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (1_000, "1,000 files")])
def test_a_number_has_its_noun_in_the_right_number(count, said):
    line = line_of(Published("m", "a" * 64, count, 0, True))
    assert line == f"m: published {'a' * 12}, {said}"
