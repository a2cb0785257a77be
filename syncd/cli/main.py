"""Starts the command line with the garbage collector off during imports (`syncd.process.gc_tuning`)."""

from syncd.process import disable_during_imports


def main() -> None:
    """Run `syncd`."""
    disable_during_imports()
    from syncd.cli.app import main as run  # noqa: PLC0415  after the line above

    run()
