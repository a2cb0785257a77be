"""The status page: templates, their texts in each language, style and scripts."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
