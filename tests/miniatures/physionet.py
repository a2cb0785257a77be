"""PhysioNet: one database with its SHA256SUMS.txt, open or behind a data use agreement."""

import base64

from aiohttp import web

from tests.miniatures.miniature import Miniature, sha256

USER, PASSWORD, UNSIGNED = "curator@hospital.example", "pass word", "student@hospital.example"


class PhysioNet(Miniature):
    """`credentialed` asks for a name and a password, of download clients alone: who looks like a browser gets 403."""

    reader = "checksums"
    keys = "checksums: [SHA256SUMS.txt]"
    clients = ("Wget/", "libwfdb/", "syncd/")  # the last as agreed with PhysioNet

    def __init__(self, slug="mitdb", version="1.0.0", files=None, *, credentialed=False):
        self.at = f"/files/{slug}/{version}/"
        self.credentialed = credentialed
        if credentialed:
            self.keys += ", credentials: physionet"
        super().__init__(files)

    def begin(self):
        return {
            "RECORDS": b"100\n101\n",
            "100.dat": bytes(range(256)) * 40,
            "x_mitdb/x_108.hea": b"x_108 2 360\n",
            "old.atr": b"1",
        }

    def change(self):
        self.files |= {"RECORDS": b"100\n101\n102\n", "102.dat": b"102"}
        del self.files["old.atr"]

    def sums(self):
        return "".join(f"{sha256(content)} {path}\n" for path, content in sorted(self.files.items())).encode()

    def copy(self):
        return {**self.files, "SHA256SUMS.txt": self.sums()}

    def answer(self, path, query, origin):
        if self.credentialed and (refusal := self.refusal(self.asked[-1])) is not None:
            return refusal
        return self.copy().get(path.removeprefix(self.at)) if path.startswith(self.at) else None

    def refusal(self, request):
        if not request.headers.get("User-Agent", "").startswith(self.clients):
            return web.Response(status=403, text="<!doctype html><title>Sign in</title>", content_type="text/html")
        scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
        user, _, password = base64.b64decode(pair).decode().partition(":")
        if scheme != "Basic" or password != PASSWORD:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="PhysioNet"'})
        return web.Response(status=403, text="no agreement") if user != USER else None
