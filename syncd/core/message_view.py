"""A text for people as the API shows it beside its English words: for translation."""

from collections.abc import Mapping
from typing import Any

import msgspec

from manifests.messages import Message


class MessageView(msgspec.Struct, frozen=True, kw_only=True):
    """A text as a code and its values, for translation.

    `code` is the English text with the names of the values in braces. A value is a number, a text that is not to be
    translated (a path, the words of a server), another text with a code and values, or a list of these.
    """

    code: str
    values: dict[str, Any] = {}


def message_view(text: str) -> MessageView | None:
    """Return a text as its code and values; None if it is a plain text, as in a record of an earlier version."""
    return MessageView(code=text.code, values=_viewed(text.values)) if isinstance(text, Message) else None


def _viewed(value: Any) -> Any:
    if isinstance(value, Message):
        return {"code": value.code, "values": _viewed(value.values)}
    if isinstance(value, Mapping):
        return {name: _viewed(one) for name, one in value.items()}
    return [_viewed(one) for one in value] if isinstance(value, list) else value
