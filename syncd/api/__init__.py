"""The HTTP API of the daemon: routes, authentication, server-sent events, health checks."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
