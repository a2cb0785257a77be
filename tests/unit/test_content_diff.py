"""What changed inside a file is told in few lines that name the place, whatever the format."""

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from manifests.access import Caller
from manifests.content_diff import MAX_SHOWN, content_changes
from syncd.api.limited_control import LimitedControl

COMPARISON: dict[str, Any] = {
    "id": "EURAMET.EM-K1",
    "services": [{"label": "Voltage", "value": 1}, {"label": "Current", "value": 2}],
    "uncertainty": {"value": 0.5, "unit": "µV"},
}


def changes(path, before, after):
    texts = (one if isinstance(one, bytes) else one.encode() for one in (before, after))
    found = content_changes(path, *texts)
    return None if found is None else [str(one) for one in found]


def test_a_key_comparison_whose_uncertainty_changed_reads_as_one_line():
    after = {**COMPARISON, "services": COMPARISON["services"][::-1], "uncertainty": {"value": 0.4, "unit": "µV"}}
    assert changes("k1.json", json.dumps(COMPARISON), json.dumps(after, indent=2, sort_keys=True)) == [
        "uncertainty.value: 0.5 → 0.4"
    ]


@pytest.mark.parametrize(
    ("path", "before", "after", "told"),
    [
        ("a.json", '{"a": [{"id": 1, "v": 1}]}', '{"a": [{"id": 2, "v": 1}, {"id": 1, "v": 3}]}',
         ["a[1].v: 1 → 3", "a[2].id: + 2", "a[2].v: + 1"]),
        ("a.json", '{"a": []}', '{"a": [1]}', ["a: - []", "a[0]: + 1"]),
        ("t.csv", "station,name,value\n1,x,5\n2,x,6\n", "station,name,value\n2,x,7\n1,x,5\n3,y,1\n",
         ["2, value: 6 → 7", "3, name: + y", "3, value: + 1"]),
        ("t.tsv", "a\tb\n1\t2\n", "a\tb\tc\n1\t2\t3\n", ["1, c: + 3"]),
        ("t.csv", "a,b\n1,2\n1,2\n", "a,b\n1,2\n1,3\n", ["line 3: 1,2 → 1,3"]),
        ("r.xml", "<r xmlns='urn:x'><p id='a'>1</p><p id='b'>2</p></r>", "<r><p id='b'>3</p><p id='a'>1</p></r>",
         ["/r/p[b]: 2 → 3"]),
        ("r.xml", "<r><t>1</t></r>", "<r><t u='m'>1</t></r>", ["/r/t/@u: + m"]),
        ("notes.txt", "one\ntwo\nthree\n", "one\n2\nthree\nfour\n", ["line 2: two → 2", "line 4: + four"]),
        ("broken.json", "{", "{}", ["line 1: { → {}"]),
        ("bom.txt", b"\xef\xbb\xbfa\n", "a\n", []),
        ("a.nc", b"\x89HDF\xff", b"\x89HDF\xfe", None),
        ("zeros.txt", b"a\0", b"b\0", None),
    ],
)  # fmt: skip
def test_each_format_is_compared_by_its_places(path, before, after, told):
    assert changes(path, before, after) == told


def test_a_document_type_is_not_expanded_and_long_values_are_cut():
    bomb = '<!DOCTYPE r [<!ENTITY a "aaaa">]><r>&a;</r>'
    assert changes("r.xml", bomb, "<r/>") == [f"line 1: {bomb} → <r/>"]
    assert changes("a.txt", b"x" * 9999, b"y") == [f"line 1: {'x' * MAX_SHOWN}… → y"]


@pytest.mark.parametrize(
    ("role", "level", "shown"),
    [("operator", "private", True), ("reader", "private", False), ("reader", "open", True), ("", "open", True),
     ("partner", "registered", True), ("reader", "restricted", False)],
)  # fmt: skip
async def test_the_content_of_files_is_for_those_who_may_read_their_bytes(role, level, shown):
    class Answering:
        def access(self, name):
            return level

        def mirror(self, name):
            return None

        async def diff(self, name, before, after, *, limit, content):
            return content

    control: Any = Answering()
    caller = Caller(role=role, mirrors=("m",) if role == "partner" else None)
    limited: Any = LimitedControl(control, caller)
    assert await limited.diff("m", "a", "b", content=True) is shown
    assert not await limited.diff("m", "a", "b")


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["a.json", "a.csv", "a.tsv", "a.xml", "a.txt", "a"]),
    st.text(alphabet='{}[]",:<>/=a1 \n\t', max_size=40) | st.text(max_size=20),
    st.text(alphabet='{}[]",:<>/=a1 \n\t', max_size=40) | st.text(max_size=20),
)
def test_whatever_files_hold_they_are_compared_and_equal_ones_have_no_change(path, before, after):
    old, new = (text.encode("utf-8", "replace") for text in (before, after))
    assert not list(content_changes(path, old, old) or ())
    assert list(content_changes(path, old, new) or ()) is not None
