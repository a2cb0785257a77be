"""Opens configuration, Catalogue, store and lease in order, for the command line and the daemon alike."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
