"""The old import path of the base of options in `manifests.reader_api`; 0.3 removes it."""

from manifests.moved import forwarding

__getattr__ = forwarding(__name__, "manifests.yaml.validation", {"Clash": "KeyConflict", "checked": "validated"})
