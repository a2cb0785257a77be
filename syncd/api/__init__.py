"""The HTTP side of the daemon: REST API, status page, health checks."""

from syncd.api.server import Served, serving

__all__ = ["Served", "serving"]
