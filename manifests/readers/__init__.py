"""The readers: one module for each upstream format."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
