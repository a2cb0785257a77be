"""The types of values that several parts of syncd.yaml share."""

import ipaddress
import re
from typing import Annotated, Any

from pydantic import BeforeValidator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import like

_LISTEN = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})", re.ASCII)


def _listen(given: Any) -> Any:
    if isinstance(given, str) and ((found := _LISTEN.fullmatch(given)) is None or int(found[2]) > 65_535):
        raise InvalidValue(
            message("is not an address to listen on"), message("write it as in 127.0.0.1:8750 or [::1]:8750")
        )
    return given


def _network(given: Any) -> Any:
    if isinstance(given, str):
        try:
            return str(ipaddress.ip_network(given, strict=False))
        except ValueError as error:
            raise InvalidValue(
                message("is not an IP address"), message("write it as in 127.0.0.1 or 10.1.0.0/16")
            ) from error
    return given


Listen = Annotated[str, BeforeValidator(_listen)]
"""An address to listen on, as host:port."""
Network = Annotated[str, BeforeValidator(_network)]
"""An IP address, or a network of them."""

MirrorGlob = Annotated[
    str,
    like(r"[a-z0-9*?-]{1,63}", message("is not a glob of mirrors' names"), message("write it as in landsat-*")),
]
