"""Writes what follows from something else: `make docs` runs it, and a test holds every file equal to what it writes.

* deploy/kubernetes: the alert rules of deploy/prometheus, as a PrometheusRule and for the chart.
"""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "deploy" / "prometheus" / "syncd.rules.yml"
KUBERNETES = ROOT / "deploy" / "kubernetes"

RULE = """\
# Written by `make docs` from deploy/prometheus/syncd.rules.yml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: syncd
  labels: {app.kubernetes.io/name: syncd, app.kubernetes.io/component: daemon, app.kubernetes.io/part-of: syncd}
spec:
"""


def written() -> Iterator[tuple[Path, str]]:
    """Yield every file that is written, and its text."""
    rules = RULES.read_text("utf-8")
    groups = rules[rules.index("\ngroups:\n") + 1 :]
    indented = "".join(f"  {line}" if line.strip() else line for line in groups.splitlines(keepends=True))
    yield KUBERNETES / "monitoring" / "prometheusrule.yaml", RULE + indented
    yield KUBERNETES / "chart" / "files" / "syncd.rules.yml", groups


if __name__ == "__main__":
    for file, text in written():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
