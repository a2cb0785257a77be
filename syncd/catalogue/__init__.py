"""The embedded database: mirrors, current Entries, upstream's claims, work in flight. Rebuildable from the store."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
