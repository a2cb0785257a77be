"""The process itself: event loop and signals, log, crash reports, systemd."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
