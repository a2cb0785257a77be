"""The options of reader `syncd`: the node's keys, and which mirror of which store is followed."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.minisign import PublicKey, SignatureError
from manifests.model import Duration
from manifests.yaml import STRICT

_ID = re.compile(r"[0-9a-f]{64}")
MIRROR_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def _key(given: object) -> object:
    if isinstance(given, str):
        try:
            return PublicKey.parse(given).text
        except SignatureError as error:
            todo = message("write the line that begins with RW, as `syncd key show` prints it")
            raise InvalidValue(message("is not a public key of a node"), todo) from error
    return given


def _followed(given: object) -> object:
    if isinstance(given, str) and given != "current" and _ID.fullmatch(given) is None:
        todo = message("write current, or the 64 hexadecimal digits of a snapshot's id")
        raise InvalidValue(message("is not a snapshot"), todo)
    return given


def _mirror(given: object) -> object:
    if isinstance(given, str) and MIRROR_NAME.fullmatch(given) is None:
        raise InvalidValue(message("is not the name of a mirror"), message("write it as that node's manifest does"))
    return given


class NodeOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    keys: tuple[Annotated[str, BeforeValidator(_key)], ...] = ()
    """The public keys of the node (RW…); its operator tells them, `syncd key show` prints them."""
    trust: Literal["transport"] | None = None
    """`transport`: without a key, believe the server at the url."""
    mirror: Annotated[str, BeforeValidator(_mirror)] | None = None
    """The mirror's name in a store that is read: a folder, a bucket, or a web server that shows one."""
    follow: Annotated[str, BeforeValidator(_followed)] = "current"
    """`current`, or the id of one snapshot, which is mirrored and never changes."""
    max_age: Duration | None = None
    """Refuse the node while it last surveyed the original longer ago than this."""

    @model_validator(mode="after")
    def _trusted(self) -> Self:
        if not self.keys and self.trust is None and self.follow == "current":
            raise InvalidValue(
                message("names no key of the node, so any server at its url would be believed"),
                message("write keys: [RW…], as its operator tells them, or trust: transport"),
            )
        if self.keys and self.trust is not None:
            raise InvalidValue(
                message("has keys, and trust: transport, which would ignore them"), message("keep one of the two")
            )
        return self
