"""The public, read-only HTTP side: immutable bytes of published snapshots, their proofs, and the pages about them."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
