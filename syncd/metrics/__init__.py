"""Metrics for Prometheus: counts events, and reads everything else when it is scraped."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
