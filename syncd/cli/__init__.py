"""The command line: commands, output and progress displays."""
