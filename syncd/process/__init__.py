"""The process itself: event loop and signals, log, crash reports, systemd."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
