"""The embedded database: mirrors, current Entries, upstream's claims, work in flight. Rebuildable from the store."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
