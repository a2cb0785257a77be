"""Reads files over SFTP."""
