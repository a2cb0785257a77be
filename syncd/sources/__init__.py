"""Opens a manifest's source as one Transport, however many upstreams and protocols it has."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
