"""Reads a YAML file against its model, and reports every mistake with its line, column and remedy."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
