"""What a person meant who wrote a manifest in a common but wrong way: the fault, and what to write instead.

It is asked only about places where validation has found a fault already. A value is quoted only if it is a time, a
number or an address without a login: whatever else stands in the wrong place may be a secret.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model.units import parse_duration
from manifests.model.windows import check_cron
from manifests.yaml import Advice, Path, keys

WORDS = {"hourly": "1h", "daily": "1d", "weekly": "7d", "monthly": "30d", "yearly": "365d"}
MEANT = {"name": "mirror", "id": "mirror", "license": "licence", "interval": "every", "bandwidth": "rate"}
_SECRET = re.compile(r"(?:api_|secret_)?(?:access_)?key(?:_id)?|passw(?:or)?d|secret|token|user(?:name)?")
_HOST = r"(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]+|localhost|\[[0-9a-fA-F:.]+\]"
_ADDRESS = re.compile(rf"(?:{_HOST})(?::\d{{1,5}})?(?:/[^\s@?#]*)?", re.ASCII)
_NUMBERS = re.compile(r"\s*-?\d+(?:\.\d+)?(?:\s*[,\s]\s*-?\d+(?:\.\d+)?)+\s*", re.ASCII)
_HAN = re.compile("[\u3400-\u9fff]")
_QUOTES = "“”„‟‘’「『＂＇"


def advice_on(model: type[BaseModel]) -> Advice:
    """Return the function that says what was meant at a path of a `model`'s file: fault and remedy, or None."""

    def advise(path: Path, value: Any) -> tuple[str, str] | None:
        key = path[-1] if path and isinstance(path[-1], str) else ""
        is_source = path == ("source",) or (path[:1] == ("source",) and len(path) == 2 and isinstance(path[1], int))
        if is_source and isinstance(value, str):
            return message("is not a mapping"), message("write source: {url: …}, with the url in its place")
        if key == "schedule" and isinstance(value, str):
            return _schedule(value)
        if key == "credentials" and isinstance(value, Mapping):
            return message("is not the name of a credential"), _CREDENTIAL
        if path[:1] == ("publish",) and (told := _publish(path, value)) is not None:
            return told
        if isinstance(value, str):
            return _text(key, value) or _elsewhere(model, path, key)
        return _elsewhere(model, path, key)

    return advise


_CREDENTIAL = message(
    "write credentials: NAME in the manifest, and in syncd.yaml, below credentials:, "
    "NAME: {origin: https://host, basic: {username: …, password: {file: /etc/syncd/NAME.password}}}"
)


def _schedule(value: str) -> tuple[str, str] | None:
    every = WORDS.get(value.casefold(), value)
    if _is_parsed(parse_duration, every):
        shape = f"{{every: {every}}}"
    elif _is_parsed(check_cron, value):
        shape = f'{{cron: "{value}"}}'
    else:
        return None
    return message("is not a mapping"), message("write schedule: {shape}", shape=shape)


def _publish(path: Path, value: Any) -> tuple[str, str] | None:
    """Say what was meant in the block that describes the copy to others."""
    if len(path) == 1 and isinstance(value, str | bool):
        shape = f"{{access: {value}}}" if value in {"open", "registered", "restricted"} else "{access: open}"
        return message("is not a mapping"), message("write publish: {shape}", shape=shape)
    key = path[1] if len(path) == 2 else ""
    if key in {"title", "description", "terms"} and isinstance(value, str):
        language = "zh" if _HAN.search(value) else "en"
        return message("is a text without its language"), message(
            "write {key}: {shape}, and the other language beside it", key=key, shape=f"{{{language}: …}}"
        )
    if key == "identifiers" and isinstance(value, Mapping | str):
        return message("is not a list"), message("write it as in identifiers: [{doi: 10.…}, {cstr: …}]")
    if key == "creators" and isinstance(value, Mapping | str):
        return message("is not a list"), message("write it as in creators: [{name: …, ror: …}]")
    return None


def _text(key: str, value: str) -> tuple[str, str] | None:
    if value and value[0] in _QUOTES:
        return message("begins with the quotation mark {mark}, which YAML does not know", mark=value[0]), message(
            'write " at both ends'
        )
    if key in {"endpoint", "url"} and _ADDRESS.fullmatch(value):
        scheme = "https" if key == "url" else "http"
        return message("has no scheme"), message("write {url}", url=f"{scheme}://{value}")
    if key == "bbox" and _NUMBERS.fullmatch(value):
        numbers = re.split(r"[,\s]+", value.strip())
        return message("is text"), message("write the numbers as a list: [{numbers}]", numbers=", ".join(numbers))
    return None


def _elsewhere(model: type[BaseModel], path: Path, key: str) -> tuple[str, str] | None:
    """Say where a key belongs that is not allowed at `path`."""
    if not key or key in keys(model, path[:-1]):
        return None  # it is allowed here; its value is the fault
    if _SECRET.fullmatch(key):
        return message("is a secret or a login, which no manifest holds"), _CREDENTIAL
    meant = MEANT.get(key, key)
    found = next((place for place in _places(model) if place[-1] == meant), None)
    if found is None:
        return None
    if len(found) == len(path) == 1:
        return message("is not a known key"), message("did you mean {meant}?", meant=meant)
    above = ".".join(found[:-1])
    if not above:
        return message("is not a known key"), message("write {meant} at the top of the file", meant=meant)
    return message("is not a known key here"), message(
        "it belongs to {above}: write {meant} below it", above=above, meant=meant
    )


def _places(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """Yield the path of each key of a model, the shortest first."""
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        above = waiting.pop(0)
        for key in keys(model, above):
            yield (*above, key)
            if len(above) < 2:
                waiting.append((*above, key))


def _is_parsed(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except InvalidValue:
        return False
    return True
