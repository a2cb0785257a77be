"""How the page speaks: one catalogue of sentences for each language, and times, sizes and numbers as people read them.

Rules:
1. Every sentence stands in `words/<language>.json` under the same key in all of them; a test holds them equal.
2. Whatever strangers wrote is shown through `printable`; nothing here makes markup.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files

import msgspec

from manifests.model import format_size

COOKIE = "syncd_language"
LANGUAGES = {"en": "English", "zh": "中文"}
TAGS = {"en": "en", "zh": "zh-Hans"}

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def load_words() -> dict[str, Mapping[str, str]]:
    """Read all catalogues (it blocks)."""
    folder = files("syncd.web").joinpath("i18n")
    return {
        language: msgspec.json.decode(folder.joinpath(f"{language}.json").read_bytes(), type=dict[str, str])
        for language in LANGUAGES
    }


def choose(cookie: str | None, accept: str) -> str:
    """Return the language to speak: the chosen one, else the one that the browser likes best of ours."""
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

    @property
    def tag(self) -> str:
        """Return the language's tag for HTML."""
        return TAGS[self.language]

    def say(self, key: str, **values: object) -> str:
        """Return the sentence of a key, with its values filled in."""
        return self.words[key].format(**values) if values else self.words[key]

    def knows(self, key: str) -> bool:
        """Tell whether there is such a sentence."""
        return key in self.words

    def count(self, key: str, number: int) -> str:
        """Return a sentence about a number of things, in singular or plural."""
        return self.say(f"{key}.one" if number == 1 else f"{key}.many", n=f"{number:,}")

    def number(self, value: int) -> str:
        """Return a number with its thousands apart."""
        return f"{value:,}"

    def size(self, value: int | None) -> str:
        """Return bytes."""
        return format_size(value) if value is not None else self.say("size.unknown")

    def rate(self, value: float) -> str:
        """Return bytes a second."""
        return f"{format_size(round(value))}/s"

    def lasting(self, seconds: float) -> str:
        """Return how long something takes, in its largest one or two units."""
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
        """Return how long something is, in its largest unit that says enough: 26 h, 3 d."""
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
        """Return a moment as machines read it."""
        return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def crumbs(path: str) -> Iterable[tuple[str, str]]:
    """Yield each folder of a path and its name, the outermost first."""
    at = 0
    while (slash := path.find("/", at)) >= 0:
        yield path[: slash + 1], path[at:slash]
        at = slash + 1
