"""The commands, one module each: what it is called with, what it does, and its exit code."""
