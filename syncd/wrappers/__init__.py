"""Decorators of any Transport or Store: governed, retried, metered, sharing one budget."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
