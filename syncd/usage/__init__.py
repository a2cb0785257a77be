"""Counts what the public side gives, by institution and country, and keeps neither an address nor a user agent."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
