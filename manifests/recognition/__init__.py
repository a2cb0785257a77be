"""Which reader fits an address: by its shape, by the documents below it, by its answer. Pure: it asks nothing."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
