"""What all protocols share: which addresses may be reached, how connections are made, urls, redirects, stalls."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
