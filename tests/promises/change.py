"""The form of a change that breaks a promise or lets a fault through."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the program taken out, or turned around."""

    holds: tuple[str | int, ...]
    breaks: str
    file: str
    old: str
    new: str
    by: str
    among: str = ""


FOLDER = "TestFolder and not TestFolderOfAWorker"
