"""What stands in the log, and what never does."""

import io
import json
import logging

import pytest

from syncd.events import PassFinished, TransferAdvanced, TransferFailed, TransferFinished
from syncd.log import HIDDEN, Secrets, logged, open_log


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
    listen = logged(open_log(stream, json=True))
    listen(TransferAdvanced("m", "a", 1))
    listen(TransferFinished("m", "a", 1, "verified", replaced=False, seconds=0.1))
    listen(TransferFailed("m", "b", "b: gone", "NotFound", quarantined=False))
    listen(PassFinished("m", True, 1, 0, 0, 0, 0, 1, 1, 0.5))
    failed, finished = map(json.loads, stream.getvalue().splitlines())
    assert (failed["event"], failed["level"], failed["path"]) == ("transfer failed", "warning", "b")
    assert (finished["event"], finished["level"], finished["failed"]) == ("pass finished", "info", 1)
