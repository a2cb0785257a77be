"""Metrics for Prometheus: counts events, and reads everything else when it is scraped."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
