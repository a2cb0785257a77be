"""The HTTP side of the daemon: REST API, status page, health checks."""

from syncd.api.server import RunningServer, serving

__all__ = ["RunningServer", "serving"]
