"""The commands, one module each: parameters, action and exit code."""
