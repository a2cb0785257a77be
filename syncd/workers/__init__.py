"""Worker processes that move small files in large numbers."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
