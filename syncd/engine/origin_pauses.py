"""Origins that an operator paused until a time: no pass that reads from them begins.

The pauses are a setting of the Catalogue, so that they outlast a restart.
"""

import msgspec

from manifests.errors import InvalidValue
from manifests.messages import message, plain
from manifests.origins import normalise_origin
from syncd.catalogue import CatalogueSettings
from syncd.core import ConfigError

SETTING = "origin-pauses"


class OriginPause(msgspec.Struct, frozen=True):
    """Until when an origin is paused, in seconds since the epoch, and by whom."""

    until: float
    who: str


_pauses = msgspec.json.Decoder(dict[str, OriginPause]).decode


def origin_pauses(settings: CatalogueSettings, now: float) -> dict[str, OriginPause]:
    """Return the pauses that have not ended."""
    written = settings.get(SETTING)
    return {origin: one for origin, one in _pauses(written).items() if one.until > now} if written else {}


def pause_origin(settings: CatalogueSettings, origin: str, pause: OriginPause | None, now: float) -> bool:
    """Record a pause, or with None its end; return True if the origin was paused before."""
    found = origin_pauses(settings, now)
    before = found.pop(origin, None)
    if pause is not None:
        found[origin] = pause
    settings.set(SETTING, msgspec.json.encode(found, enc_hook=plain).decode())
    return before is not None


def read_origin(text: str) -> str:
    """Return an origin as governors name it. Raises ConfigError."""
    try:
        return normalise_origin(text)
    except InvalidValue as error:
        raise ConfigError(message("{text}: is not an origin: {cause}", text=text, cause=error)) from error
