"""Reads S3 buckets, and speaks S3 for the store."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
