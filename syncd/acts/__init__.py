"""Carries out the acts of operators on one mirror, for the command line and the daemon alike."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
