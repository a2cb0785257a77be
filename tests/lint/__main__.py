"""Runs the house's rules over the whole tree; prints every finding, then how much was looked at."""

import argparse
import importlib
import pkgutil
import sys
import time
from pathlib import Path

from tests.lint import rules
from tests.lint.tree import Rule, Tree

ROOT = Path(__file__).parents[2]


def all_rules() -> list[Rule]:
    """Return every rule of every module in tests/lint/rules, by name."""
    modules = [
        importlib.import_module(f"{rules.__name__}.{found.name}") for found in pkgutil.iter_modules(rules.__path__)
    ]
    found = {id(value): value for module in modules for value in vars(module).values() if isinstance(value, Rule)}
    return sorted(found.values(), key=lambda one: one.name)


def main() -> int:
    """Run the rules that were named, or all; return 1 where anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.lint", description=__doc__)
    parser.add_argument("rules", nargs="*", metavar="RULE", help="only these rules")
    parser.add_argument("--list", action="store_true", help="show the rules and end")
    parser.add_argument("--report", action="store_true", help="show what rules that are not enforced yet find, and end")
    asked = parser.parse_args()
    known = {one.name: one for one in all_rules()}
    if unknown := sorted(set(asked.rules) - known.keys()):
        parser.error(f"no such rule: {', '.join(unknown)}; --list shows them")
    if asked.list:
        for one in known.values():
            print(f"{one.name}: {one.summary}")
        return 0
    began = time.monotonic()
    tree = Tree.on_disk(ROOT)
    chosen = [known[name] for name in asked.rules]
    chosen = chosen or [one for one in known.values() if one.enforced is not asked.report]
    findings = [(finding, one.name) for one in chosen for finding in one.findings(tree)]
    for finding, name in sorted(findings):
        print(f"{finding} ({name})")
    spent = time.monotonic() - began
    print(f"house rules: {len(chosen)}; files: {len(tree.files)}; findings: {len(findings)}; {spent:.1f} s")
    return 1 if findings and not asked.report else 0


if __name__ == "__main__":
    sys.exit(main())
