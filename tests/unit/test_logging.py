"""What stands in the log, and what never does."""

import io
import json
import logging
import os
import pty
from datetime import datetime, timedelta

import pytest

from syncd.core import events
from syncd.core.events import PassFinished, TransferAdvanced, TransferFailed, TransferFinished
from syncd.core.redaction import HIDDEN, Secrets
from syncd.process.logging import LEVELS, event_logger, event_name, open_log, style_of


@pytest.fixture(autouse=True)
def root():
    """The root logger as it was, after each test."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture(params=[True, False], ids=["json", "console"])
def opened(request):
    stream = io.StringIO()
    secrets = Secrets(["correct-horse"])
    return open_log(stream, json=request.param, secrets=secrets), stream, secrets


@pytest.mark.fault(48)
def test_names_cannot_command_a_terminal_or_forge_a_line(opened):
    log, stream, _ = opened
    log.info("took \x1b[31m\nforged", path="a\r\n2026 [info] forged\x9b", nested={"k\x1b": ["\u202e"]})
    (line,) = stream.getvalue().splitlines()
    assert line.isprintable()
    assert "\\x1b" in line


def test_a_traceback_keeps_its_lines_and_nothing_else(opened):
    log, stream, _ = opened
    try:
        raise ValueError("bad \x1b[2J name, correct-horse")
    except ValueError:
        log.exception("broke")
    text = stream.getvalue().replace("\\n", "\n")
    assert "Traceback" in text
    assert "\x1b" not in text
    assert "correct-horse" not in text


@pytest.mark.promise("P10")
@pytest.mark.parametrize(
    "text",
    [
        "https://me:SWORDFISH@host/x",
        "https://host/x?X-Amz-Credential=SWORDFISH&y=1",
        "https://host/x?y=1&X-Amz-Signature=SWORDFISH",
        "https://host/x?access_token=SWORDFISH",
        "{'Authorization': 'Basic SWORDFISH=='}",
        "Authorization: AWS4-HMAC-SHA256 Credential=a, Signature=SWORDFISH",
        "sent Bearer SWORDFISH.abc",
        "Set-Cookie: session=SWORDFISH; Path=/",
    ],
)
def test_a_secret_is_known_by_where_it_stands(opened, text):
    log, stream, _ = opened
    log.info("asked", url=text)
    assert "SWORDFISH" not in stream.getvalue()
    assert HIDDEN in stream.getvalue()


def test_a_secret_is_known_by_its_name_and_by_having_been_read(opened):
    log, stream, secrets = opened
    secrets.learn("battery-staple")
    log.info("with correct-horse", password="SWORDFISH", headers={"Authorization": "SWORDFISH"}, note="battery-staple")
    text = stream.getvalue()
    assert not any(secret in text for secret in ("correct-horse", "battery-staple", "SWORDFISH"))


def test_secrets_do_not_show_themselves():
    assert "correct" not in repr(Secrets(["correct-horse"]))


def test_libraries_speak_through_the_same_log(opened):
    _, stream, _ = opened
    logging.getLogger("some.library").warning("odd %s", "\x1b[2J correct-horse")
    logging.getLogger("some.library").info("chatter")
    (line,) = stream.getvalue().splitlines()
    assert "odd \\" in line
    assert "\x1b" not in line
    assert "correct-horse" not in line


def test_a_stream_that_breaks_makes_the_log_silent_and_fails_nothing():
    stream = io.StringIO()
    log = open_log(stream, json=True)
    stream.close()
    log.info("to nobody")


def test_events_are_logged_by_how_much_they_matter():
    stream = io.StringIO()
    listen = event_logger(open_log(stream, json=True))
    listen(TransferAdvanced("m", "a", 1))
    listen(TransferFinished("m", "a", 1, "verified", replaced=False, seconds=0.1))
    listen(TransferFailed("m", "b", "NotFound", quarantined=False, reason="b: gone"))
    listen(PassFinished("m", "", True, 1, 0, 0, 0, 0, 1, 1, 0.5))
    failed, finished = map(json.loads, stream.getvalue().splitlines())
    assert (failed["event"], failed["level"], failed["path"]) == ("transfer_failed", "warning", "b")
    assert (finished["event"], finished["level"], finished["failed"]) == ("pass_finished", "info", 1)


def test_every_event_has_a_line_of_its_own_or_is_too_frequent_for_one():
    stream = io.StringIO()
    listen = event_logger(open_log(stream, json=True, level="debug"))
    kinds = events.KINDS
    assert len(kinds) > 30
    for kind in kinds:
        listen(kind(*range(len(kind.__match_args__))))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [event_name(kind) for kind in kinds if LEVELS.get(kind, "") is not None]
    by_name = {line["event"]: line for line in lines}
    assert len(by_name) == len(lines)
    assert by_name["transfer_failed"]["level"] == "warning"
    assert by_name["pass_started"]["why"] == 2
    assert not {"survey_advanced", "transfer_advanced"} & by_name.keys()


def test_a_store_that_is_there_again_is_no_warning():
    stream = io.StringIO()
    listen = event_logger(open_log(stream, json=True))
    for state in ("online", "offline"):
        listen(events.StoreChanged("", state, ""))
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == ["info", "warning"]


def test_no_listener_hears_a_secret_that_stands_in_a_strangers_words():
    heard = []
    listen = events.redacting(heard.append, Secrets(["correct-horse"]))
    for event in (
        events.DocumentFailed("m", "https://me:SWORDFISH@h/x?sig=SWORDFISH", "said correct-horse"),
        events.TransferFailed("m", "a", "Denied", quarantined=False, reason="a: Bearer SWORDFISH1"),
        events.TransferRetried("m", "a", "correct-horse", 1, 0.5),
        events.ManifestRejected("m", "f", ("1:1: https://me:SWORDFISH@h/",), in_force=True),
    ):
        listen(event)
    assert "SWORDFISH" not in repr(heard)
    assert "correct-horse" not in repr(heard)
    advanced = events.TransferAdvanced("m", "a", 1)
    listen(advanced)
    assert heard[-1] is advanced


def test_every_level_that_is_written_can_be_read_by_the_journal():
    stream = io.StringIO()
    log = open_log(stream, json=True, journal=True, level="debug")
    for level in ("debug", "info", "warning", "error"):
        getattr(log, level)("said", mirror="m")
    logging.getLogger("some.library").error("odd")
    lines = stream.getvalue().splitlines()
    assert [line[:3] for line in lines] == ["<7>", "<6>", "<4>", "<3>", "<3>"]
    assert json.loads(lines[0][3:])["mirror"] == "m"
    assert datetime.fromisoformat(json.loads(lines[0][3:])["ts"]).utcoffset() == timedelta(0)


def test_the_style_fits_where_the_lines_go(tmp_path):
    with (tmp_path / "log").open("w") as file:
        there = os.fstat(file.fileno())
        assert style_of(file, {}) == "json"
        assert style_of(file, {"JOURNAL_STREAM": "1:1"}) == "json"
        assert style_of(file, {"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"}) == "journal"
    _, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        assert style_of(stream, {}) == "console"
    assert style_of(io.StringIO(), {}) == "json"
