"""The command line of syncd, with all its commands.

Exit codes: 0 done · 1 some files failed, the rest is done and recorded · 2 usage or manifest · 3 stopped by a
safeguard (deletions held, lease held, no space, Catalogue damaged) · 4 source or store unreachable · 130 interrupted.
"""

from importlib import import_module

from syncd.cli.command_names import COMMANDS
from syncd.cli.registration import app

for _name in COMMANDS:
    import_module(f"syncd.cli.commands.{_name}")  # registers its command

__all__ = ["COMMANDS", "app"]
