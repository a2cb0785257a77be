"""Starts the command line without looking for garbage in what is imported (`syncd.garbage`)."""

from syncd.garbage import look_later


def main() -> None:
    """Run `syncd`."""
    look_later()
    from syncd.cli import main as run  # noqa: PLC0415  after the line above

    run()
