"""The outward formats: pure functions over one model of a published mirror."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
