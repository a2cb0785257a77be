"""Reads files over FTP, plain or with TLS."""
