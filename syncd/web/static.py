"""The page's own files (style, scripts, pictures): held in memory, named by their content, cached for ever."""

import mimetypes
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files

import xxhash
from aiohttp import web

_SERVED = (".css", ".js", ".svg")


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file; `url` changes with its content."""

    url: str
    body: bytes
    media: str


class StaticFiles:
    """All files by name."""

    def __init__(self, found: dict[str, StaticFile]) -> None:
        """`load` creates it."""
        self._files = found

    @classmethod
    def load(cls) -> "StaticFiles":
        """Read all files (it blocks)."""
        found = {}
        for file in files("syncd.web").joinpath("static").iterdir():
            if file.name.endswith(_SERVED):
                body = file.read_bytes()
                media = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
                found[file.name] = StaticFile(f"/static/{xxhash.xxh3_64_hexdigest(body)}/{file.name}", body, media)
        return cls(found)

    def url(self, name: str) -> str:
        """Return the url of a file."""
        return self._files[name].url

    def find(self, url: str) -> StaticFile | None:
        """Return the file with this url."""
        return next((file for file in self._files.values() if file.url == url), None)

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Serve all files."""
        for file in self._files.values():
            router.add_get(file.url, _serving(file))
        if "icon.svg" in self._files:
            router.add_get("/favicon.ico", _serving(self._files["icon.svg"]))


def _serving(file: StaticFile) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def give(_request: web.Request) -> web.Response:
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable",
            "Content-Type": f"{file.media}; charset=utf-8",
        }
        return web.Response(body=file.body, headers=headers)

    return give
