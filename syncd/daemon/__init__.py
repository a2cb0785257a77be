"""The daemon: schedules passes, checks stored bytes, watches manifests, deletes what expired, answers Control."""

from manifests.package_face import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
