"""The configuration syncd.yaml: settings, credentials and the locations of their secrets, access to the API."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
