"""Texts for people that keep what they were made of, so that the status page can say them in another language.

`message("{path}: {got} bytes promised, {size} arrived", path=…, got=…, size=…)` is the English text, a `str` like any
other. It also keeps its template (`code`) and its `values`. `syncd/web/i18n/messages.zh.json` has the Chinese of each
template, and `make lint` holds the two equal.

A value is a number, a text, a Message, or a list of these. A text is foreign: a path, or a sentence of a server or of
the system. It is quoted and not translated.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache, reduce
from typing import Any, Self


class Message(str):
    """An English text, its template and the values that the template names."""

    __slots__ = ("code", "values")
    code: str
    values: Mapping[str, Any]

    def __new__(cls, code: str, values: Mapping[str, Any]) -> Self:
        """Fill in the template. Without values it is the text itself, braces and all."""
        text = code.format_map({name: _shown(value) for name, value in values.items()}) if values else code
        self = super().__new__(cls, text)
        self.code = code
        self.values = values
        return self

    def __str__(self) -> Self:
        """Return the Message itself, so that `str(error)` of an error keeps it."""
        return self

    def __getnewargs__(self) -> tuple[str, Mapping[str, Any]]:  # type: ignore[override]  # a str has one
        """Return the arguments that make a copy."""
        return self.code, self.values

    def mapped(self, change: Callable[[str], str]) -> str:
        """Return `change` of the text, as a Message if the same change of each value comes to the same text."""
        text = change(_text(self))
        made = Message(self.code, {name: _mapped(value, change) for name, value in self.values.items()})
        return made if made == text else text

    def removeprefix(self, prefix: str, /) -> str:
        """Return the text without its subject: the first value, as in `{path}: not a file`."""
        if not prefix or not self.startswith(prefix):
            return self
        text = super().removeprefix(prefix)
        subject, colon, rest = self.code.partition("}: ")
        if colon and subject[1:] in self.values and text == (made := Message(rest, self.values)):
            return made
        return text


def message(code: str, /, **values: object) -> Message:
    """Return a text for people; `code` is a literal, and names the values in braces."""
    return Message(code, {name: _value(value) for name, value in values.items()})


def template(code: str, /) -> str:
    """Mark a template in a table, from which a Message is made later; `code` is a literal."""
    return code


def count(number: int, one: str, many: str, /) -> Message:
    """Return a number of things: `count(files, "{n} file", "{n:,} files")`; both are literals."""
    return Message(one if number == 1 else many, {"n": number})


def chained(texts: Iterable[str], /) -> str:
    """Return several texts, one or more, as one: `a; b; c`."""
    return reduce(lambda before, text: message("{before}; {text}", before=before, text=text), texts)


def pack(text: str) -> str:
    """Return the template and values of a text as JSON, to be stored beside it; "" for a text without any."""
    return _codec()[0]([text.code, text.values]).decode() if isinstance(text, Message) else ""


def unpack(text: str, packed: str) -> str:
    """Return a stored text with its template and values; the text alone if `packed` is none of them."""
    if not packed:
        return text
    try:
        code, values = _codec()[1](packed)
        made = Message(code, {name: _unpacked(value) for name, value in values.items()})
    except (ValueError, LookupError, AttributeError, TypeError):
        return text
    return made if made == text else text


def plain(value: Any) -> str:
    """Return a text that is more, such as a Message or who acts, as a plain one: every encoder's `enc_hook`."""
    if isinstance(value, str):
        return _text(value)
    raise NotImplementedError(type(value).__name__)


def _text(value: str) -> str:
    return str.__getitem__(value, slice(None))


def _value(value: object) -> Any:
    if isinstance(value, BaseException):
        value = str(value)
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [_value(one) for one in value]
    return str(value)


def _shown(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, Message):
        return value.mapped(change)
    if isinstance(value, list):
        return [_mapped(one, change) for one in value]
    return change(value) if isinstance(value, str) else value


def _unpacked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpacked(one) for one in value]
    if isinstance(value, dict):
        return Message(value["code"], {name: _unpacked(one) for name, one in value["values"].items()})
    return value


def _packed(value: Any) -> Any:
    if isinstance(value, Message):
        return {"code": value.code, "values": value.values}
    raise NotImplementedError(type(value).__name__)


@cache
def _codec() -> tuple[Callable[[Any], bytes], Callable[[str], tuple[str, dict[str, Any]]]]:
    import msgspec  # noqa: PLC0415  most commands store no message

    encoder, decoder = msgspec.json.Encoder(enc_hook=_packed), msgspec.json.Decoder(tuple[str, dict[str, Any]])
    return encoder.encode, decoder.decode
