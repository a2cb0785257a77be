"""The engine, the daemon, the command line, and everything between them."""
