"""The old import path of what is in `manifests.reader_api` now; 0.3 removes it."""

from manifests.moved import forwarding

__getattr__ = forwarding(__name__, "manifests.yaml.validation", {"Clash": "KeyConflict", "checked": "validated"})
