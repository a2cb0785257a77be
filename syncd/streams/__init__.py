"""Reads one body to its end: resumed after a break, from another source, or made from documents."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
