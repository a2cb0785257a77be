"""The command line: what stewards and operators type, and what they see."""
