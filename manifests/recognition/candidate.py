"""A source that may fit an address, and why; whether it does is known once it was asked."""

from typing import Any

import msgspec


class GivenAddress(msgspec.Struct, frozen=True):
    """An address as it was copied: `page` is all of it, `folder` is the folder around it, with its slash."""

    page: str
    folder: str
    origin: str
    path: str
    query: dict[str, list[str]] = {}

    @property
    def is_web(self) -> bool:
        """True if it is on the web."""
        return self.page.startswith(("http://", "https://"))

    @property
    def file(self) -> str:
        """The last part of the path; "" for a folder."""
        return self.path.rpartition("/")[2]


class Candidate(msgspec.Struct, frozen=True):
    """What `source:` of a manifest may say for an address. `reader` is "" where the url's scheme decides."""

    url: str
    reader: str
    why: str
    options: dict[str, Any] = {}

    @property
    def source(self) -> dict[str, Any]:
        """Return it as the mapping that a manifest has."""
        return {"url": self.url, **({"reader": self.reader} if self.reader else {}), **self.options}
