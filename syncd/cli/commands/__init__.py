"""What each command of the command line does, with its exit code: one module for those commands that need the same."""
