"""Reads one body to its end: resumed after a break, from another source, or made from documents."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
