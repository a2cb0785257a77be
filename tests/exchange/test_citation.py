"""The citation in BibTeX: braces stay balanced whatever stands in a title."""

from dataclasses import replace

from hypothesis import given

from syncd.exchange.citation import bibtex
from tests.exchange.publications import BARE, LANDSAT, golden, wild


def test_the_citation_is_its_golden_file():
    golden("citation.bib", bibtex(LANDSAT))


def test_a_version_that_is_cited_is_named_with_its_address():
    text = bibtex(LANDSAT).decode()
    assert f"url = {{{LANDSAT.snapshot_url()}}}" in text
    assert "doi = {10.5072/x}" in text
    assert "doi" not in bibtex(BARE).decode()


@given(wild)
def test_braces_stay_balanced(held):
    depth = 0
    for letter in bibtex(held).decode():
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0


def test_a_title_with_braces_and_percent_signs_is_written_by_their_names():
    text = bibtex(replace(BARE, titles={"": "100 % of {x} & y_z\\"})).decode()
    assert r"{{100 \% of \textbraceleft{}x\textbraceright{} \& y\_z\textbackslash{}}}" in text
