"""Metrics for Prometheus: a listener that counts, and an exposition that reads the rest when it is asked for."""

from syncd.metrics.metrics import Metrics

__all__ = ["Metrics"]
