"""Writes the dashboards: `python deploy/grafana/build [FOLDER]`, by default into deploy/grafana/dashboards."""

import json
import sys
from pathlib import Path

from fleet import fleet
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from integrity import integrity
from mirror import mirror
from origins import origins
from sharing import sharing

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "dashboards"
for board in (fleet(), mirror(), origins(), integrity(), sharing()):
    built = board.build()
    for number, panel in enumerate(built.panels or (), 1):
        panel.id_val = number
    text = json.dumps(built, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / f"{built.uid}.json").write_text(f"{text}\n", "utf-8")
