"""Opens a manifest's source as one Transport, however many upstreams and protocols it has."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
