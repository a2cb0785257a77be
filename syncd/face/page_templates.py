"""The templates of the pages for people, their texts in each language, and their style: that of the status page."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Self

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from syncd.core import printable
from syncd.web import LANGUAGES, TAGS, StaticFiles, Translator, choose, load_words


def _printable(value: Any) -> Any:
    """Return what a template shows; markup is ours, text may be foreign."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@dataclass(frozen=True, slots=True)
class PageTemplates:
    """What the pages are made of."""

    templates: Environment
    words: Mapping[str, Mapping[str, str]]
    static: StaticFiles

    @classmethod
    def load(cls) -> Self:
        """Read everything (it blocks)."""
        sources = {one.name: one.read_text("utf-8") for one in files("syncd.face").joinpath("templates").iterdir()}
        templates = Environment(
            loader=DictLoader(sources),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_printable,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        return cls(templates, load_words(), StaticFiles.load())

    def render(self, template: str, wanted: str | None, accepted: str, now: float, **shown: Any) -> tuple[str, str]:
        """Return a page and the tag of its language: the wanted one, else one that the browser accepts."""
        language = choose(wanted, accepted)
        speech = Translator(language, self.words[language], now)
        page = self.templates.get_template(template).render(
            speech=speech, t=speech.say, languages=LANGUAGES, tags=TAGS, static=self.static, **shown
        )
        return page, speech.tag
