"""The group of entry points in which adapters are found by the scheme of a url."""

TRANSPORTS = "syncd.transports.v1"
