"""The daemon: schedules passes, checks stored bytes, watches manifests, deletes what expired, answers Control."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
