"""The vocabulary that all packages share: errors, ports, events, and the steps of a Plan."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
