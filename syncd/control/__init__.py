"""The port of the running daemon: its queries, its actions, and the values that they return."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
