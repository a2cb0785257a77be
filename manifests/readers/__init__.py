"""The readers: one module for each upstream format."""
