"""Servers of archives that want to be logged in to: scripted answers, and who gives the tokens."""

import json
from urllib.parse import parse_qs

from tests.hostile.faults import Answer
from tests.hostile.server import HostileServer


class Scripted(HostileServer):
    """A server whose `script` answers first; None leaves the answer to the polite one."""

    def __init__(self, script=lambda request: None, files=None):
        super().__init__(files)
        self.script = script

    def polite(self, request):
        return self.script(request) or super().polite(request)

    def heard(self):
        """Everything that was ever sent here, as one text."""
        return "\n".join(f"{r.target} {r.headers} {r.body.decode()}" for r in self.requests)


def to(url, *more):
    return Answer(302, [("Location", url), *more])


class Identity:
    """A server of tokens."""

    def __init__(self, server, lifetime=600):
        self.server, self.lifetime = server, lifetime
        self.given, self.grants = [], []
        self.refuses = set()
        server.script = self.answer

    def answer(self, request):
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        self.grants.append(form["grant_type"])
        if form["grant_type"] in self.refuses:
            return Answer(400, [], b'{"error": "invalid_grant"}')
        if form["grant_type"] == "password":
            assert (form["username"], form["password"], form["client_id"]) == ("me", "s3cret", "public")
        else:
            assert form["refresh_token"] == f"refresh{len(self.given)}"
        self.given.append(f"token{len(self.given) + 1}")
        answer = {
            "access_token": self.given[-1], "expires_in": self.lifetime, "refresh_expires_in": 3600,
            "refresh_token": f"refresh{len(self.given)}",
        }  # fmt: skip
        return Answer(200, [], json.dumps(answer).encode())
