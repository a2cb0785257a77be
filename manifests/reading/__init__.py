"""The parts of readers: documents and requests for them, and parsers of JSON, XML and checksum lists."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
