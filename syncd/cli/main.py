"""Starts the command line without looking for garbage in what is imported (`syncd.process.gc_tuning`)."""

from syncd.process.gc_tuning import look_later


def main() -> None:
    """Run `syncd`."""
    look_later()
    from syncd.cli.app import main as run  # noqa: PLC0415  after the line above

    run()
