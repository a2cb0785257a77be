"""What all bodies share that pass another body on: they claim what it claims."""

from syncd.core import Body


class BodyWrapper:
    """A Body that says of itself what the body inside says."""

    __slots__ = ("headers", "start", "stat", "stop", "url")

    def claim_as(self, body: Body) -> None:
        """Take over `stat`, `start`, `stop`, `headers` and `url` of `body`."""
        self.stat = body.stat
        self.start = body.start
        self.stop = body.stop
        self.headers = body.headers
        self.url = body.url
