"""Which keys of a manifest or of syncd.yaml changed, for the audit log; a value that may not be shown never is.

Rule: the model says what may not be shown: a field with `repr=False`. Of such a value a fingerprint is compared.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from syncd.core import HIDDEN, KeyChange, redact

LONGEST = 500  # characters of a value
CONCEALED = f"{HIDDEN} "  # begins the value of a field that may not be shown


def flat_keys(model: BaseModel) -> dict[str, str]:
    """Return every key that is set, as `source.url`, with its value as text; of concealed ones a fingerprint."""
    return dict(_flat("", model))


def changed_keys(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[KeyChange, ...]:
    """Return the keys that differ, sorted."""
    return tuple(
        KeyChange(key=key, old=_shown(old.get(key)), new=_shown(new.get(key)))
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    )


def _shown(text: str | None) -> str | None:
    if text is None:
        return None
    return HIDDEN if text.startswith(CONCEALED) else redact(text)[:LONGEST]


def _flat(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, BaseModel):
        for name in sorted(value.model_fields_set):
            field = type(value).model_fields.get(name)
            part = getattr(value, name, None)
            if field is not None and not field.repr and part is not None:
                found = hashlib.sha256(str(part).encode()).hexdigest()[:16]
                yield _below(key, name), f"{CONCEALED}{found}"
            else:
                yield from _flat(_below(key, name), part)
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _flat(_below(key, str(name)), part)
    elif isinstance(value, tuple | list) and any(isinstance(part, BaseModel | Mapping) for part in value):
        for number, part in enumerate(value):
            yield from _flat(_below(key, str(getattr(part, "name", number))), part)
    elif value is not None:
        yield key, _text(value)


def _below(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _text(value: Any) -> str:
    if isinstance(value, set | frozenset):
        return ", ".join(sorted(map(_text, value)))
    if isinstance(value, tuple | list):
        return ", ".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
