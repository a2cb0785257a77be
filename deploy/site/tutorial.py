"""Runs the tutorial's commands and writes what they print into its pages. `make docs` runs it; a test holds it equal.

A page holds blocks of two kinds. A `yaml` block with a title is written to the file of that name. A `console` block
holds lines that begin with `$ `, each a command of one shell, and below each what it prints. With the title "second
terminal" a console's command keeps running while the others do. All pages show the same blocks, so the English page is
run for all.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "docs/tutorial/first-mirror.md", ROOT / "docs/tutorial/first-mirror.zh.md")
BLOCK = re.compile(
    r'^```(?P<kind>yaml|console)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL
)
PORT = "8765"
SECONDS = 60.0
END = "--- the command has ended"
# What differs from run to run, or from machine to machine.
CHANGING = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:]+Z|\d+(?:\.\d+)? s ago|in \d+\.\d s \([^)]*/s\)|free in the store: \S+ \w+|\d+\.\d s\b"
    r"|quarantine/stations/[0-9a-f]{16}/"
)


def written() -> Iterator[tuple[Path, str]]:
    """Yield each page, and its text with what the commands print today."""
    pages = {page: page.read_text("utf-8") for page in PAGES}
    blocks = list(_today(BLOCK.finditer(pages[PAGES[0]])))
    for page, text in pages.items():
        found = list(BLOCK.finditer(text))
        assert len(found) == len(blocks), f"{page}: has {len(found)} blocks, the English page {len(blocks)}"
        for old, new in reversed(list(zip(found, blocks, strict=True))):
            if masked(old["text"]) != masked(new):
                text = text[: old.start("text")] + new + text[old.end("text") :]  # noqa: PLW2901  from the last to the first
        yield page, text


def masked(text: str) -> str:
    """Return a text without its times, rates and room on the disk."""
    return CHANGING.sub("…", text)


def commands(block: str) -> list[str]:
    """Return the commands of a console: a line that ends with a backslash goes on in the next."""
    found: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(line)
        elif found and found[-1].endswith("\\"):
            found[-1] += f"\n{line}"
    return found


def _today(blocks: Iterator[re.Match[str]]) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, _shell(Path(folder)) as shell:
        port = _free_port()
        for block in blocks:
            text = block["text"]
            if block["kind"] == "yaml":
                (Path(folder) / block["title"]).write_text(text.replace(PORT, port), "utf-8")
                yield text
            elif block["title"]:
                for command in commands(text):
                    _printed(shell, f"{command[2:].replace(PORT, port)} >/dev/null 2>&1 &")
                _wait_for(port)
                yield text
            else:
                shown = []
                for command in commands(text):
                    printed = _printed(shell, command[2:].replace(PORT, port)).replace(port, PORT)
                    shown.append(f"{command}\n{printed}")
                yield "".join(shown)


@contextmanager
def _shell(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")}
    environ = {**own, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        ["bash", "--noprofile", "--norc"],
        cwd=folder,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as shell:
        assert shell.stdin is not None
        shell.stdin.write("trap 'kill $(jobs -p)' EXIT\n")  # the shell ends with us, however we end; its server with it
        try:
            yield shell
        finally:
            os.killpg(shell.pid, signal.SIGTERM)  # the shell, and the server that it started


def _printed(shell: "subprocess.Popen[str]", command: str) -> str:
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(f"{command}\nEXIT=$?; echo '{END}'; (exit $EXIT)\n")
    shell.stdin.flush()
    lines = []
    for line in shell.stdout:
        if line.rstrip("\n") == END:
            return "".join(lines)
        lines.append(f"{line.rstrip()}\n")
    raise AssertionError(f"the shell ended at: {command}")


def _free_port() -> str:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return str(own.getsockname()[1])


def _wait_for(port: str) -> None:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        with socket.socket() as own:
            if own.connect_ex(("127.0.0.1", int(port))) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the tutorial's archive does not answer")


if __name__ == "__main__":
    for file, text in written():
        file.write_text(text, "utf-8")
