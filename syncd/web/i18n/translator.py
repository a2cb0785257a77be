"""The languages of the page: a catalogue of sentences for each, and formats of times, sizes and numbers.

Rules:
1. All catalogues (`<language>.json`) have the same keys; a test compares them.
2. `messages.<language>.json` translates every message of the program (`manifests.messages`) by its English template;
   `make lint` compares them.
3. Untrusted text is shown through `printable`, and marked as a quotation within a translated message.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from string import Formatter
from typing import Any

import msgspec
from markupsafe import Markup

from manifests.messages import Message
from manifests.model import format_size
from manifests.timestamps import rfc3339
from syncd.core import printable

COOKIE = "syncd_language"
LANGUAGES = {"en": "English", "zh": "中文"}
TAGS = {"en": "en", "zh": "zh-Hans"}

_QUOTED = Markup('<span class="quoted" lang="" translate="no">{}</span>')
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def load_words() -> dict[str, Mapping[str, str]]:
    """Read all catalogues (it blocks)."""
    folder = files("syncd.web").joinpath("i18n")
    return {
        language: msgspec.json.decode(folder.joinpath(f"{language}.json").read_bytes(), type=dict[str, str])
        for language in LANGUAGES
    }


def load_messages() -> dict[str, Mapping[str, str]]:
    """Read the translated messages of all languages but English (it blocks)."""
    folder = files("syncd.web").joinpath("i18n")
    return {
        language: _without_subjects(
            msgspec.json.decode(folder.joinpath(f"messages.{language}.json").read_bytes(), type=dict[str, str])
        )
        for language in LANGUAGES
        if language != "en"
    }


def _without_subjects(messages: dict[str, str]) -> Mapping[str, str]:
    """Return the messages, and those that begin with their subject (`{path}: …`) also without it."""
    cut = {}
    for code, sentence in messages.items():
        subject, colon, rest = code.partition("}: ")
        start = f"{subject}}}："
        if colon and subject[1:].isidentifier() and sentence.startswith(start):
            cut[rest] = sentence.removeprefix(start)
    return cut | messages


def choose(cookie: str | None, accept: str) -> str:
    """Return the language of the page: the chosen one, else the available one that the browser prefers."""
    if cookie in LANGUAGES:
        return cookie
    best, most = "en", 0.0
    for one in accept[:1_000].split(","):
        tag, _, rest = one.strip().partition(";")
        language = tag.strip().lower().split("-")[0]
        weight = _weight(rest)
        if language in LANGUAGES and weight > most:
            best, most = language, weight
    return best


def _weight(rest: str) -> float:
    name, _, value = rest.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(1.0, max(0.0, float(value)))
    except ValueError:
        return 0.0


@dataclass(frozen=True, slots=True)
class Translator:
    """One language at one moment."""

    language: str
    words: Mapping[str, str]
    now: float
    messages: Mapping[str, str] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        """Return the language's tag for HTML."""
        return TAGS[self.language]

    def say(self, key: str, **values: object) -> str:
        """Return the sentence of a key, with its values filled in."""
        return self.words[key].format(**values) if values else self.words[key]

    def message(self, text: str) -> str | None:
        """Return a message in this language; None if there are English words only."""
        if self.language == "en":
            return text
        # a text without values is its own template
        code, values = (text.code, text.values) if isinstance(text, Message) else (text, {})
        sentence = self.messages.get(code)
        if sentence is None:
            return None
        if not values:
            return printable(sentence)
        return Markup("").join(
            part
            for literal, name, spec, conversion in Formatter().parse(sentence)
            for part in (literal, "" if name is None else self._value(values[name], spec or "", conversion))
        )

    def _value(self, value: Any, spec: str, conversion: str | None) -> str:
        if isinstance(value, list):
            return Markup("、").join(self._value(one, spec, conversion) for one in value)
        if isinstance(value, Message) and (words := self.message(value)) is not None:
            return words
        shown = format(repr(value) if conversion == "r" else value, spec)
        return _QUOTED.format(printable(shown)) if isinstance(value, str) else shown

    def knows(self, key: str) -> bool:
        """Return True if the key exists."""
        return key in self.words

    def count(self, key: str, number: int) -> str:
        """Return a sentence about a number of things, in singular or plural."""
        return self.say(f"{key}.one" if number == 1 else f"{key}.many", n=f"{number:,}")

    def number(self, value: int) -> str:
        """Return a number with separated thousands."""
        return f"{value:,}"

    def size(self, value: int | None) -> str:
        """Return bytes."""
        return format_size(value) if value is not None else self.say("size.unknown")

    def rate(self, value: float) -> str:
        """Return bytes per second."""
        return f"{format_size(round(value))}/s"

    def lasting(self, seconds: float) -> str:
        """Return a duration in its largest one or two units."""
        left = max(0, round(seconds))
        parts: list[str] = []
        for unit, length in _UNITS:
            count, left = divmod(left, length)
            if count or (unit == "s" and not parts):
                parts.append(self.say(f"time.{unit}", n=count))
            if parts and (len(parts) == 2 or not left or unit == "min"):
                break
        return " ".join(parts)

    def about(self, seconds: float) -> str:
        """Return a duration in one unit: 26 h, 3 d."""
        left = max(0, round(seconds))
        for unit, length in _UNITS:
            if left >= (2 if unit in {"d", "min"} else 1) * length:
                return self.say(f"time.{unit}", n=left // length)
        return self.say("time.s", n=left)

    def ago(self, moment: float | None) -> str:
        """Return how long ago something was."""
        if moment is None:
            return self.say("time.never")
        return self.say("time.ago", t=self.about(self.now - moment))

    def due(self, moment: float) -> str:
        """Return in how long something will be."""
        if moment - self.now < 1:
            return self.say("time.soon")
        return self.say("time.in", t=self.about(moment - self.now))

    def moment(self, moment: float | None) -> str:
        """Return a moment in full, UTC."""
        if moment is None:
            return self.say("time.never")
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")

    def stamp(self, moment: float) -> str:
        """Return a time in the format of HTML's `datetime`."""
        return rfc3339(moment)


def crumbs(path: str) -> Iterable[tuple[str, str]]:
    """Yield each folder of a path and its name, the outermost first."""
    at = 0
    while (slash := path.find("/", at)) >= 0:
        yield path[: slash + 1], path[at:slash]
        at = slash + 1
