"""The port of the running daemon: its queries, its actions, and the values that they return."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
