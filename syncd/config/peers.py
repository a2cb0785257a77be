"""Other nodes in syncd.yaml (`peers`): whose copies of our published mirrors are watched."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.minisign import PublicKey, SignatureError
from manifests.model import Duration
from manifests.origins import check_folder_url
from manifests.yaml import STRICT


def _url(given: Any) -> Any:
    return check_folder_url(given, frozenset({"http", "https"})) if isinstance(given, str) else given


def _key(given: Any) -> Any:
    if isinstance(given, str):
        try:
            return PublicKey.parse(given).text
        except SignatureError as error:
            todo = message("write the line that begins with RW, as `syncd key show` prints it")
            raise InvalidValue(message("is not a public key of a node"), todo) from error
    return given


class PeerSettings(BaseModel):
    """Another node that has copies of our published mirrors, under the same names."""

    model_config = STRICT

    url: Annotated[str, BeforeValidator(_url)]
    """Its public side, as in https://data.example.org/; its mirrors are below `mirrors/`."""
    keys: tuple[Annotated[str, BeforeValidator(_key)], ...] = ()
    """Its public keys (RW…), as its operator tells them; without one, what it says is shown as not proved."""
    mirrors: tuple[Annotated[str, Field(pattern=r"^[a-z0-9*?-]{1,63}$")], ...] = ("*",)
    """The mirrors that it copies; `*` and `?` stand for any characters."""
    every: Annotated[Duration, Field(ge=1.0)] = Field(default=300.0, json_schema_extra={"default": "5min"})
    """How often it is asked."""
