"""Finds the character encoding of an index page as browsers do: by its header, by its `<meta>`, else UTF-8.

Labels mean what the WHATWG Encoding Standard says: `gb2312` is gb18030, `shift_jis` is that of Windows. A name that
stands in the page is then requested in UTF-8, as browsers request it; percent-encoded bytes are requested as they are.
"""

import re
from collections.abc import Mapping

from manifests.reading import text_encoding

HEAD = 4096  # bytes in which a page may name its encoding

_HEADER = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_:.+-]{1,40})", re.IGNORECASE)
_META = re.compile(rb"<meta\b[^>]{0,300}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.+-]{1,40})", re.IGNORECASE)
_XML = re.compile(rb"\s*<\?xml\b[^>]{0,200}?\sencoding\s*=\s*[\"']([A-Za-z0-9_:.+-]{1,40})")
_WIDER = {
    "gb2312": "gb18030", "gbk": "gb18030", "cp936": "gb18030", "hz": "gb18030",
    "big5": "big5hkscs", "cp950": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-1": "cp1252", "ascii": "cp1252",
    "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874",
}  # fmt: skip
_LABELS = {
    "x-sjis": "shift_jis",
    "windows-31j": "cp932",
    "x-gbk": "gbk",
    "ks_c_5601-1987": "euc_kr",
    "x-x-big5": "big5",
}
WESTERN = "cp1252"


def page_encoding(headers: Mapping[str, str], head: bytes) -> str:
    """Return Python's name of the encoding of a page whose first bytes are `head`; "" if it names none."""
    header = _HEADER.search(headers.get("content-type", ""))
    meta = _XML.match(head) or _META.search(head, 0, HEAD)
    for label in (header[1] if header is not None else "", meta[1].decode() if meta is not None else ""):
        found = text_encoding(_LABELS.get(label.lower(), label)) if label else None
        if found is not None:
            return _WIDER.get(found, found)
    return ""
