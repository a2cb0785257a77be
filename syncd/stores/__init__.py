"""The store: a folder or a bucket behind one port, its lease, and the probe of a server's capabilities."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
