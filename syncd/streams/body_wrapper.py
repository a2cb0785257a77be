"""The base of bodies that forward another body: they have its attributes."""

from syncd.core import Body


class BodyWrapper:
    """A Body with the attributes of an inner body."""

    __slots__ = ("headers", "start", "stat", "stop", "url")

    def claim_as(self, body: Body) -> None:
        """Copy `stat`, `start`, `stop`, `headers` and `url` of `body`."""
        self.stat = body.stat
        self.start = body.start
        self.stop = body.stop
        self.headers = body.headers
        self.url = body.url
