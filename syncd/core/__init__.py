"""The vocabulary that all packages share: errors, ports, events, and the steps of a Plan."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
