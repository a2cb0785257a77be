"""Reads a YAML file against its model, and reports every mistake with its line, column and remedy."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
