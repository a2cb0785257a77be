"""Translates one gitignore-style glob into a regular expression that matches in linear time. Pure.

gitignore(5), "Pattern format". A star takes the shortest run of characters after which the text up to the next star
matches, and never gives it back (an atomic group, as in the standard library's fnmatch): without that, a name of 250
underscores and a glob of five stars take hours. `**` does the same with whole folders.
"""

import re

from manifests.errors import InvalidValue
from manifests.messages import message

LONGEST = 1024  # characters of a glob; no path of a source may be longer

_FOLDERS = "(?:[^/]+/)*?"  # as few as will do
_END = "(?:/|$)"  # of a path, or of a folder that holds it


def expression(glob: str) -> tuple[bool, str]:
    """Return whether `glob` selects (`!glob` deselects) and its expression, to be used with `re.match`.

    Raises InvalidValue if it is none.
    """
    selects = not glob.startswith("!")
    text = glob[not selects :]
    text = text if text.endswith("\\ ") else text.rstrip()
    segments = text.split("/")
    is_folder = segments[-1] == ""
    if is_folder:
        segments.pop()
    if len(segments) == 1:
        segments.insert(0, "**")  # without a slash it may stand at any depth
    elif segments[0] == "":
        del segments[0]
    if is_folder:
        segments.append("**")
    chunks = _chunks(segments)
    if chunks == [[]]:  # nothing but `**`: all paths, or all that are in a folder
        return selects, "[^/]+/" if is_folder else ""
    return selects, _joined(glob, chunks)


def _chunks(segments: list[str]) -> list[list[str]]:
    """Return the runs of segments between `**`. The first or last is empty if the glob begins or ends with it."""
    chunks: list[list[str]] = [[]]
    for segment in segments:
        if segment != "**":
            chunks[-1].append(segment)
        elif chunks[-1] or len(chunks) == 1:
            chunks.append([])
    return chunks if any(chunks) else [[]]


def _joined(glob: str, chunks: list[list[str]]) -> str:
    first, *others = chunks
    parts = ["/".join(_segment(glob, segment) for segment in first)]
    if not others:
        return parts[0] + _tail(first)
    parts += ["/"] * bool(first)
    *middle, last = others
    for chunk in middle:
        parts.append(f"(?>{_FOLDERS}{'/'.join(_segment(glob, segment) for segment in chunk)}/)")
    if last:
        parts += [_FOLDERS, "/".join(_segment(glob, segment) for segment in last), _tail(last)]
    return "".join(parts)


def _tail(chunk: list[str]) -> str:
    """Return the end of the expression: a name covers all paths below it, a lone star only the name itself."""
    return "/?$" if chunk[-1] == "*" else _END


def _segment(glob: str, segment: str) -> str:
    """Return the expression of one name between slashes."""
    if segment == "*":
        return "[^/]+"
    first, *rest = _literals(glob, segment)
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>[^/]*?{text})" for text in middle if text) + "[^/]*" + last


def _literals(glob: str, segment: str) -> list[str]:
    """Return the expressions of what stands between the stars of one segment."""
    found, at = [""], 0
    while at < len(segment):
        character = segment[at]
        at += 1
        if character == "*":
            found.append("")
        elif character == "?":
            found[-1] += "[^/]"
        elif character == "[":
            end = segment.find("]", at + 1 + (segment[at : at + 1] in {"!", "^"}))
            found[-1] += _one_of(segment[at:end]) if end != -1 else r"\["
            at = end + 1 or at
        elif character == "\\":
            if at == len(segment):
                raise InvalidValue(
                    message("{glob!r} ends with a backslash", glob=glob), message("write it as in a .gitignore file")
                )
            found[-1] += re.escape(segment[at])
            at += 1
        else:
            found[-1] += re.escape(character)
    return found


def _one_of(inside: str) -> str:
    """Return the expression of a bracket expression, given what stands between the brackets (POSIX, 9.3.5)."""
    negated = inside[0] in {"!", "^"}
    members = re.sub(r"[\\\[\]&|~]", r"\\\g<0>", inside[1:] if negated else inside)  # all but the range's hyphen
    return f"[^/{members}]" if negated else f"[{members}]"
