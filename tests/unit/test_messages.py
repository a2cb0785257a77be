"""Messages: English texts that keep their template and values wherever they go."""

import json
import pickle
from string import Formatter

import msgspec
import pytest
from hypothesis import given, strategies as st

from manifests.errors import InvalidValue
from manifests.messages import Message, count, message, pack, plain, unpack
from syncd.core import NotFound, Secrets, printable, redact
from syncd.web.i18n.translator import Translator, _without_subjects, load_messages

WORDS = st.text(max_size=20)
VALUES = st.recursive(
    WORDS | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.builds(lambda a, b: message("{a}: {b!s}", a=a, b=b), inner, inner),
    max_leaves=8,
)


def coded(text):
    assert isinstance(text, Message)
    return text


def chinese(text, messages):
    return Translator("zh", {}, 0.0, messages).message(text)


def test_a_message_is_its_english_text():
    text = message("{path}: {n:,} bytes, not {title!r}", path="a/b", n=12345, title="x")
    assert text == "a/b: 12,345 bytes, not 'x'"
    assert json.dumps(text) == "\"a/b: 12,345 bytes, not 'x'\""
    assert (text.code, dict(text.values)) == (
        "{path}: {n:,} bytes, not {title!r}",
        {"path": "a/b", "n": 12345, "title": "x"},
    )


def test_a_text_without_values_may_have_braces():
    assert message("write store: {prefix: x}") == "write store: {prefix: x}"


def test_a_value_is_not_a_template():
    assert message("{path}: no", path="{cause.__class__}{0}") == "{cause.__class__}{0}: no"


def test_an_error_keeps_its_message_and_that_of_its_cause():
    inner = NotFound(message("{path}: no such file", path="a"))
    outer = message("{url}: {cause}", url="http://x/", cause=inner)
    assert isinstance(str(inner), Message)
    assert outer == "http://x/: a: no such file"
    assert outer.values["cause"].code == "{path}: no such file"
    assert message("{cause}", cause=OSError(2, "No such file")).values == {"cause": "[Errno 2] No such file"}


def test_an_invalid_value_keeps_both_of_its_messages():
    error = InvalidValue(message("is {n}", n=3), message("write a number"))
    assert str(error) == "is 3: write a number"
    assert coded(str(error)).values["what"].code == "is {n}"


@pytest.mark.parametrize(("number", "text"), [(0, "0 files"), (1, "1 file"), (1200, "1,200 files")])
def test_a_number_of_things_has_the_right_noun(number, text):
    assert count(number, "{n} file", "{n:,} files") == text


@given(VALUES, VALUES)
def test_what_is_stored_beside_a_text_brings_its_values_back(a, b):
    text = message("{a} and {b!r}", a=a, b=b)
    again = unpack(plain(text), pack(text))
    assert (type(again), again, pack(again)) == (Message, text, pack(text))
    assert type(pickle.loads(pickle.dumps(text))) is Message


@pytest.mark.parametrize(
    "packed", ["", "{", "[]", '["{a}",{}]', '["{a}",{"a":{"b":1}}]', '["other",{}]', '["{a.b}",{"a":1}]']
)
def test_a_stored_text_without_a_fitting_message_stays_a_text(packed):
    assert unpack("a: no", packed) == "a: no"
    assert type(unpack("a: no", packed)) is str


def test_a_secret_is_removed_from_the_values_too():
    secrets = Secrets(["hunter2"])
    for clean in (secrets.redact, redact):
        text = clean(message("{url}: {cause}", url="https://me:hunter2@host/", cause=message("no {n}", n=1)))
        assert (text, type(text)) == ("https://***@host/: no 1", Message)
        assert "hunter2" not in pack(text)


def test_a_secret_that_only_the_whole_text_reveals_costs_the_values():
    text = redact(message("Authorization: {value}", value="hunter2 is long"))
    assert (text, type(text)) == ("Authorization: ***", str)


def test_control_characters_are_written_out_in_the_values():
    text = printable(message("{path}: no", path="a\x1b"))
    assert (text, coded(text).values["path"]) == ("a\\x1b: no", "a\\x1b")


def test_every_encoder_writes_a_message_as_its_text():
    class View(msgspec.Struct):
        reason: str

    view = View(message("{path}: no", path="a"))
    assert msgspec.json.encode(view, enc_hook=plain) == b'{"reason":"a: no"}'
    assert type(msgspec.to_builtins(view, enc_hook=plain)["reason"]) is str


def test_a_message_loses_the_subject_that_stands_beside_it():
    text = message("{url}: not a {kind}", url="http://x/", kind="list")
    cut = text.removeprefix("http://x/: ")
    assert (cut, type(cut)) == ("not a list", Message)
    assert text.removeprefix("elsewhere: ") is text


CHINESE = {
    "{path}: {n:,} bytes, {cause}": "{path}：{n:,} 字节，{cause}",
    "not one of {names}": "不是 {names} 之一",
    "as before": "同前",
}


def test_a_message_is_said_in_chinese_with_its_values_quoted():
    cause = message("not one of {names}", names=["<a>", message("as before")])
    said = chinese(message("{path}: {n:,} bytes, {cause}", path="a\u202eb", n=1234, cause=cause), CHINESE)
    path, name = (f'<span class="quoted" lang="" translate="no">{text}</span>' for text in (r"a\u202eb", "&lt;a&gt;"))
    assert said == f"{path}：1,234 字节，不是 {name}、同前 之一"


def test_a_text_without_values_is_its_own_template():
    assert chinese("as before", CHINESE) == "同前"


def test_what_has_no_chinese_is_not_said_in_part():
    assert chinese("a plug-in's words", CHINESE) is None
    assert chinese(message("{path}: gone", path="a"), CHINESE) is None


def test_a_message_without_its_subject_is_said_in_chinese():
    messages = _without_subjects({"{path}: gone, {n}": "{path}：没有了，{n}"})
    assert chinese(message("{path}: gone, {n}", path="a", n=1).removeprefix("a: "), messages) == "没有了，1"


def test_every_sentence_of_the_catalogue_can_be_filled_in():
    for code, sentence in load_messages()["zh"].items():
        try:
            text = Message(code, {name: 1 for _, name, _, _ in Formatter().parse(code) if name and name.isidentifier()})
        except (ValueError, KeyError):  # braces of a text without values
            text = Message(code, {})
        assert chinese(text, {code: sentence})
