"""What all protocols share: which addresses may be reached, how connections are made, urls, redirects, stalls."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
