"""The parts of readers: documents and requests for them, and parsers of JSON, XML and checksum lists."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
