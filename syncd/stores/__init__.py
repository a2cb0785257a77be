"""The store: a folder or a bucket behind one port, its lease, and the probe of a server's capabilities."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
