"""The page's sentences: the same keys, the same values to fill in, in every language; and none that nobody says."""

import ast
import json
import re
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

from syncd.control import views
from syncd.core import errors, pass_views
from syncd.web.i18n.translator import LANGUAGES, Translator, choose, load_words

SYNCD = Path(__file__).parents[2] / "syncd"
WORDS = load_words()
NOW = 1_700_000_000.0
SOURCES = {
    f"{path.parent.name}/{path.name}" if path.suffix == ".html" else path.name: path.read_text("utf-8")
    for room in ("web", "api", "face")
    for path in (*SYNCD.glob(f"{room}/templates/*.html"), *SYNCD.glob(f"{room}/**/*.py"))
}
PLAIN = set(re.findall(r"""\b(?:t|say|count)\(\s*['"]([a-z0-9.]+)['"]\s*[,)]""", "".join(SOURCES.values())))
BUILT = set(re.findall(r"""['"]([a-z.]+\.)['"]\s*~|f"([a-z]+\.)\{|word\('([a-z]+)'""", "".join(SOURCES.values())))
COUNTED = set(re.findall(r"""\bcount\(\s*['"]([a-z0-9.]+)['"]""", "".join(SOURCES.values())))


def fields(sentence):
    return sorted(name for _, name, _, _ in Formatter().parse(sentence) if name is not None)


def keys_in(text):
    keys = re.findall(r'^\s*"((?:[^"\\]|\\.)*)"\s*:', text, re.MULTILINE)
    assert len(keys) == len(set(keys)), "a key stands twice"
    return set(keys)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_keys_once(language):
    assert keys_in((SYNCD / f"web/i18n/{language}.json").read_text("utf-8")) == set(WORDS["en"])
    assert set(WORDS[language]) == set(WORDS["en"])


@pytest.mark.parametrize("key", sorted(WORDS["en"]))
def test_every_sentence_is_there_and_takes_the_same_values(key):
    sentences = [WORDS[language][key] for language in LANGUAGES]
    assert all(sentence.strip() == sentence != "" for sentence in sentences)
    assert len({tuple(fields(sentence)) for sentence in sentences}) == 1


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one != "en"])
def test_nothing_was_left_untranslated(language):
    alike = {key for key, sentence in WORDS[language].items() if sentence == WORDS["en"][key]}
    assert alike <= {"foot.api"}


def test_what_is_said_has_a_sentence_and_every_sentence_is_said():
    said = {key for key in PLAIN if key not in COUNTED} | {f"{key}.{one}" for key in COUNTED for one in ("one", "many")}
    assert said <= set(WORDS["en"])
    prefixes = tuple(one if one.endswith(".") else f"{one}." for found in BUILT for one in found if one)
    badges = set(re.findall(r'Badge\("\w+", f?"([a-z_.]+)', SOURCES["view_models.py"]))
    unsaid = {key for key in set(WORDS["en"]) - said - badges if not key.startswith(prefixes)}
    assert unsaid == set()


def test_every_word_the_daemon_uses_has_a_sentence():
    words = WORDS["en"]
    for kind, prefix in (
        (views.State, "state"),
        (views.Health, "health"),
        (pass_views.Outcome, "outcome"),
        (views.Phase, "phase"),
    ):
        known = {key.partition(".")[2] for key in words if key.startswith(f"{prefix}.")}
        missing = set(get_args(kind)) - known
        assert missing <= (
            {"idle", "running"} if prefix == "state" else set()
        )  # these two are told by health and phase


def test_every_failure_a_file_can_have_is_explained():
    tree = ast.parse(Path(errors.__file__).read_text())
    kinds = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    kinds -= {"SyncdError", "TransientError", "PermanentError"}
    assert {f"why.{kind}" for kind in kinds} <= set(WORDS["en"])


@pytest.mark.parametrize(
    ("cookie", "accept", "language"),
    [
        (None, "", "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "en-GB,en;q=0.9,zh;q=0.8", "en"),
        (None, "de, zh;q=0.3", "zh"),
        (None, "zh;q=0, en;q=0.1", "en"),
        (None, "zh;q=nan, *;q=much", "en"),
        ("zh", "en", "zh"),
        ("xx", "zh", "zh"),
        (None, ",;,=;q" * 500, "en"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_one_liked_best(cookie, accept, language):
    assert choose(cookie, accept) == language


def speech(language="en"):
    return Translator(language, WORDS[language], NOW)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s ago"), (59, "59 s ago"), (119, "119 s ago"), (120, "2 min ago"), (3599, "59 min ago"), (3600, "1 h ago"),
     (86_400, "24 h ago"), (47 * 3600, "47 h ago"), (2 * 86_400, "2 d ago"), (400 * 86_400, "400 d ago")],
)  # fmt: skip
def test_how_long_ago(seconds, said):
    assert speech().ago(NOW - seconds) == said


def test_times_that_are_not():
    assert (speech().ago(None), speech().due(NOW - 5)) == ("never", "now")
    assert speech("zh").ago(NOW - 7200) == "2 小时前"
    assert speech().due(NOW + 5400) == "in 1 h"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0 s"), (45, "45 s"), (61, "1 min"), (3661, "1 h 1 min"), (90_000, "1 d 1 h")]
)
def test_how_long_something_took(seconds, said):
    assert speech().lasting(seconds) == said


def test_the_catalogues_are_plain_json():
    for language in LANGUAGES:
        assert json.loads((SYNCD / f"web/i18n/{language}.json").read_text("utf-8"))
