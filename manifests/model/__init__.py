"""The model of a mirror manifest: the mirror, its source, guard, schedule, and the types of their values."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
