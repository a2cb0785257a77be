"""The index of the ready-made manifests: what `syncd library list` prints, without reading any of them.

`make docs` writes `manifests/library/index.json` from the manifests.
"""

import json
from pathlib import Path
from typing import Any

import manifests

INDEX = Path(manifests.__file__).parent / "library" / "index.json"


def read_index() -> list[dict[str, Any]]:
    """Return name, field, title and all notes of each ready-made manifest, by field and name."""
    found: list[dict[str, Any]] = json.loads(INDEX.read_text(encoding="utf-8"))
    return found
