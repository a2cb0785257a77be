"""The engine: surveys, plans, transfers, verifies, publishes, retains and restores. It takes ports and emits events."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
