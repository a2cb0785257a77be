"""The model of a mirror manifest: the mirror, its source, guard, schedule, and the types of their values."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
