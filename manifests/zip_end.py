"""Checks from the end of a ZIP archive whether it can be complete: for archives without a published digest.

A zip ends with its directory, and that with a record of the directory's length and offset. A truncated file has no such
record; in a file that lost bytes in the middle, length and offset do not match the file. Nothing is read twice: the
last bytes are buffered. The check is not a proof: the members may still be damaged.
"""

import struct

from manifests.messages import message

WHOLE = "whole"
_RECORD = struct.Struct("<4sHHHHIIH")  # signature, disks and counts, size and offset of the directory, comment's length
_LOCATOR = struct.Struct("<4sIQI")
_RECORD64 = struct.Struct("<4sQHHIIQQQQ")
_KEPT = (1 << 16) + _RECORD.size + _LOCATOR.size + _RECORD64.size  # the longest comment, and the record before it
_SIGNATURE, _SIGNATURE64, _LOCATED = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF  # "see the 64-bit record"


class ZipEnd:
    """Has the interface of a hashlib hash; `hexdigest` returns `whole`, or the fault."""

    def __init__(self) -> None:
        self._size = 0
        self._tail = b""

    def update(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._size += len(chunk)
        last = bytes(chunk[-_KEPT:])
        self._tail = last if len(last) == _KEPT else (self._tail + last)[-_KEPT:]

    def hexdigest(self) -> str:
        """Return `whole`, or why this cannot be a complete zip."""
        told: str = message("it does not end with a zip's directory")
        at = len(self._tail)
        while (at := self._tail.rfind(_SIGNATURE, 0, at)) >= 0:  # a comment may contain the signature too
            if at + _RECORD.size <= len(self._tail):
                told = self._judged(at)
                if told == WHOLE:
                    break
            at += len(_SIGNATURE) - 1
        return told

    def _judged(self, at: int) -> str:
        """Return the result if the record at `at` of the tail is the right one."""
        tail, first = self._tail, self._size - len(self._tail)
        _, disk, _, _, _, length, offset, comment = _RECORD.unpack_from(tail, at)
        if at + _RECORD.size + comment > len(tail):
            return message("its end is truncated")
        if disk not in (
            0,
            _FULL16,
        ):  # the last part of several: offsets count from the beginning of the first part
            return WHOLE
        end = first + at
        if _FULL32 in (length, offset) or disk == _FULL16:
            back = at - _LOCATOR.size
            if back < 0 or tail[back : back + 4] != _LOCATED:
                return message("it has no record of where its directory begins")
            back -= _RECORD64.size
            if back < 0 or tail[back : back + 4] != _SIGNATURE64:
                return WHOLE  # a valid record of unusual length, which cannot be found without reading back
            length, offset = _RECORD64.unpack_from(tail, back)[-2:]
            end = first + back
        if offset + length > end:
            return message(
                "its directory should end at byte {offset}, but ends at {end}: bytes are missing",
                offset=offset + length,
                end=end,
            )
        return WHOLE
