"""Sorts the Chinese of the program's messages, drops what no code says, and prints what is missing, as JSON.

python -m tests.lint.translate            # prints the templates without Chinese
python -m tests.lint.translate FILE.json  # first adds the Chinese that the file has: {"template": "Chinese"}
"""

import json
import sys
from pathlib import Path

from tests.lint.__main__ import ROOT
from tests.lint.rules.messages import TRANSLATIONS, templates
from tests.lint.tree import Tree


def main(*given: str) -> int:
    """Return 1 if a template has no Chinese."""
    place = ROOT / TRANSLATIONS
    known = json.loads(place.read_text("utf-8"))
    for name in given:
        known |= json.loads(Path(name).read_text("utf-8"))
    used = templates(Tree.on_disk(ROOT))
    kept = {code: known[code] for code in sorted(used & known.keys())}
    place.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", "utf-8")
    missing = sorted(used - known.keys())
    print(json.dumps(dict.fromkeys(missing, ""), ensure_ascii=False, indent=1))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
