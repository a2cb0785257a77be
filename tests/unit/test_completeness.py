"""How a list is proved complete: entries that were skipped, counts that were announced, chains of pages, each reader's row."""

import io

import pytest
from hypothesis import given, strategies as st

from manifests.reading import (
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    PageChain,
    SkippedEntries,
    built_in,
)
from manifests.reading.reader import NO_PROOF


def page(body=b""):
    return Document(DocumentRequest("list"), "https://a.example/list", {}, io.BytesIO(body))


def test_skipped_entries_are_reported_once_with_their_number():
    skipped = SkippedEntries(page())
    skipped.raise_if_any()
    for what in ("a file without a name", "a file without a name", "line 3 is cut", "line 5 is cut", "line 9 is cut"):
        skipped.add(what)
    said = r"^https://a\.example/list: a file without a name \(2 times\); line 3 is cut; line 5 is cut; and 1 more$"
    with pytest.raises(DocumentError, match=said):
        skipped.raise_if_any()


@pytest.mark.promise("P5")
def test_a_count_that_was_announced_and_not_reached_makes_the_list_incomplete():
    skipped = SkippedEntries(page())
    for announced, reached in ((3, 3), ("3", 4), (None, 0), (-1, 0), ("many", 0), (True, 0), (0, 0)):
        skipped.expect(announced, reached, "items")
    assert not skipped
    skipped.raise_if_any()
    skipped.add("an item without an id")
    skipped.expect("60", 57, "items")
    with pytest.raises(DocumentError, match=r": 60 items were announced, and the list ends after 57; an item without"):
        skipped.raise_if_any()


def test_a_last_line_without_its_end_may_be_cut():
    assert list(page(b"a\nb\n").lines(whole=True)) == [b"a", b"b"]
    assert list(page(b"").lines(whole=True)) == []
    lines = page(b"a\nb").lines(whole=True)
    assert [next(lines), next(lines)] == [b"a", b"b"]
    with pytest.raises(DocumentError, match="the last line has no line end: the list may be cut"):
        next(lines)
    assert list(page(b"a\nb").lines()) == [b"a", b"b"]


def test_a_chain_counts_the_entries_of_its_pages():
    chain = PageChain()
    for keys in (["a", "b"], [], [], ["c"]):
        chain = chain.read(page(), keys)
    assert (chain.entries, chain.pages, chain.empty) == (3, 4, 0)
    assert chain.read(page(), []).empty == 1


@pytest.mark.promise("P5")
def test_a_page_that_comes_twice_is_an_error():
    chain = PageChain().read(page(), ["a"]).read(page(), ["b"]).read(page(), [])
    with pytest.raises(DocumentError, match=r"^https://a\.example/list: page 4 of the list repeats an earlier page$"):
        chain.read(page(), ["b"])


@given(st.integers(0, 40), st.integers(1, 40))
def test_every_loop_of_pages_ends(before, around):
    """Pages 0 … before-1 come once, then `around` pages come again and again."""

    def walk():
        chain = PageChain()
        for read in range(4 * (before + around) + 4):
            chain = chain.read(page(), [read if read < before else before + (read - before) % around])

    with pytest.raises(DocumentError, match="repeats an earlier page"):
        walk()


def test_pages_that_differ_are_no_loop():
    chain = PageChain()
    for number in range(5000):
        chain = chain.read(page(), [number])
    assert chain.entries == 5000


@pytest.mark.parametrize("name", sorted(built_in()))
def test_every_reader_declares_how_it_proves_that_a_list_is_complete(name):
    proof = built_in()[name].proof
    assert proof is not NO_PROOF, "end the module with ReaderKind(…, proof=CompletenessProof(…))"
    assert isinstance(proof, CompletenessProof)
    assert proof.end
    assert "|" not in f"{proof.end}{proof.count}{proof.limit}"
