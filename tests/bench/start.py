"""What a short command costs: processor time from its start to its exit, and how many modules it imports.

    python -m tests.bench start --rounds 9 [--before DIR]

`status` reads a Catalogue of one mirror, `check` one manifest. Modules are compiled before.
"""

import os
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from tests.bench.measure import run

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "deploy" / "manifests.d" / "physionet-mitdb.yaml"
COMMANDS = {
    "--help": ["--help"],
    "status": ["status", "--store", "store", "--state", "state"],
    "check": ["check", str(MANIFEST)],
    "library list": ["library", "list"],
}


def main(rounds: int, before: Path | None) -> int:
    """Measure each command in turns with those of `before`; 1 if one of them fails."""
    checkouts = {"syncd": ROOT, **({"before": before} if before is not None else {})}
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")}
    failed = 0
    print(f"load {os.getloadavg()[0]:.1f}; {rounds} rounds, medians\n\n| command | who | CPU s | least | modules |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "upstream").mkdir()
        (here / "upstream" / "a").write_text("a")
        (here / "m.yaml").write_text(f"mirror: m\nsource: {{url: 'file://{here}/upstream/', reader: objects}}\n")
        for name, words in COMMANDS.items():
            spent: dict[str, list[float]] = {}
            for number in range(-1, rounds):
                for who, checkout in checkouts.items():
                    program = str(checkout / ".venv" / "bin" / "syncd")
                    (here / who).mkdir(exist_ok=True)  # each has a Catalogue of its own
                    os.chdir(here / who)
                    if name == "status" and number < 0:
                        run([program, "sync", "../m.yaml", *words[1:]], environ, here / "log")
                    measured = run([program, *words], environ, here / "log")
                    failed += not measured.is_good
                    if number >= 0:  # the first one compiles
                        spent.setdefault(who, []).append(measured.cpu)
            for who, checkout in checkouts.items():
                os.chdir(here / who)
                count = modules(checkout, words)
                print(f"| {name} | {who} | {median(spent[who]):.3f} | {min(spent[who]):.3f} | {count} |", flush=True)
        os.chdir(ROOT)
    return int(failed > 0)


def modules(checkout: Path, words: list[str]) -> int:
    """Return how many modules a command imports."""
    program = str(checkout / ".venv" / "bin" / "python")
    command = [program, "-X", "importtime", str(checkout / ".venv" / "bin" / "syncd"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr.count("import time:") - 1
