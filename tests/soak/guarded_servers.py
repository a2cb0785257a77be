"""Servers that want a token, a key or a signed link, each of which ends again and again while files are on their way.

`turn` ends what is valid now. `reached` counts the requests that were refused because of it.
"""

import hashlib
import json
import random
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.hostile.faults import Answer, Request
from tests.soak.bad_days import BadServer

GUARDED = ("ended token", "rotated key", "ended link")


class TokenServer(BadServer):
    """Issues tokens at `/token`, on the origin of the data itself."""

    is_valid = ""
    issued = 0

    def polite(self, request: Request) -> Answer:
        """Return a token, or the answer of a good server to who has one."""
        if request.path == "token":
            self.issued += 1
            self.is_valid = f"token{self.issued}"
            return Answer(200, [], json.dumps({"access_token": self.is_valid, "expires_in": 30}).encode())
        if request.headers.get("authorization") != f"Bearer {self.is_valid}":
            self.reached["ended token"] += 1
            return Answer(401, [], b"", request.method == "HEAD")
        return super().polite(request)

    def turn(self) -> None:
        """End the token."""
        self.is_valid = "none"


class KeyServer(BadServer):
    """Wants a key, which another program writes into a file."""

    def __init__(self, chance: random.Random, file: Path) -> None:
        super().__init__(chance)
        self.file = file
        self.number = 0
        self.turn()

    def polite(self, request: Request) -> Answer:
        """Return the answer of a good server to who has the key."""
        if request.headers.get("authorization") != f"Bearer key{self.number}":
            self.reached["rotated key"] += 1
            return Answer(401, [], b"", request.method == "HEAD")
        return super().polite(request)

    def turn(self) -> None:
        """Write another key; the one before is no longer accepted."""
        self.number += 1
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"key{self.number}\n")
        fresh.chmod(0o600)
        fresh.rename(self.file)


class LinkServer(BadServer):
    """Lists its files in a STAC search whose links are signed for a while."""

    number = 1

    def polite(self, request: Request) -> Answer:
        """Return the search, or the answer of a good server to a link that is still valid."""
        if request.path not in self.files:
            return self._listed(request)
        if parse_qs(urlsplit(request.target).query).get("sig") != [f"s{self.number}"]:
            self.reached["ended link"] += 1
            return Answer(403, [], b"<Error><Code>AccessDenied</Code></Error>", request.method == "HEAD")
        return super().polite(request)

    def turn(self) -> None:
        """Sign all further links in another way."""
        self.number += 1

    def page(self, request: Request) -> Answer:
        """Return the search: an item for each folder, and an asset for each file in it."""
        root = request.path.removesuffix("search")
        folders: dict[str, dict[str, object]] = {}
        for path, file in sorted(self.files.items()):
            if path.startswith(root):
                folder, _, name = path.removeprefix(root).partition("/")
                folders.setdefault(folder, {})[name.partition(".")[0]] = {
                    "href": f"{self.url(path)}?sig=s{self.number}",
                    "file:size": len(file.content),
                    "file:checksum": f"1220{hashlib.sha256(file.content).hexdigest()}",
                }
        features = [
            {"type": "Feature", "stac_version": "1.0.0", "id": folder, "collection": "c", "assets": assets}
            for folder, assets in folders.items()
        ]
        page = {"type": "FeatureCollection", "features": features, "numberReturned": len(features), "links": []}
        return Answer(200, [("Content-Type", "application/geo+json")], json.dumps(page).encode())
