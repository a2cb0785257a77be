"""Acceptances of terms: each is of one version, survives a restart and a torn line, and is seen by other processes."""

from pathlib import Path

from syncd.api import AcceptedTerms


def test_an_acceptance_is_of_one_version_and_one_partner(tmp_path: Path):
    terms = AcceptedTerms(tmp_path)
    assert terms.versions("ihep") == frozenset()
    terms.accept("ihep", "landsat", "v1", 1.0)
    terms.accept("ihep", "landsat", "v1", 2.0)
    terms.accept("ihep", "modis", "v2", 3.0)
    assert terms.versions("ihep") == {"v1", "v2"}
    assert terms.versions("other") == frozenset()
    assert len((tmp_path / "accepted-terms.jsonl").read_text().splitlines()) == 2
    assert (tmp_path / "accepted-terms.jsonl").stat().st_mode & 0o777 == 0o600


def test_another_process_sees_it_and_so_does_the_next_one(tmp_path: Path):
    one, two = AcceptedTerms(tmp_path), AcceptedTerms(tmp_path)
    assert two.versions("ihep") == frozenset()
    one.accept("ihep", "landsat", "v1", 1.0)
    assert two.versions("ihep") == {"v1"}
    two.accept("ihep", "landsat", "v2", 2.0)
    assert one.versions("ihep") == AcceptedTerms(tmp_path).versions("ihep") == {"v1", "v2"}


def test_a_torn_line_is_ignored_and_swallows_no_other(tmp_path: Path):
    AcceptedTerms(tmp_path).accept("ihep", "landsat", "v1", 1.0)
    file = tmp_path / "accepted-terms.jsonl"
    file.write_bytes(file.read_bytes() + b'{"partner":"ihep","mirr')
    terms = AcceptedTerms(tmp_path)
    assert terms.versions("ihep") == {"v1"}
    terms.accept("ihep", "landsat", "v2", 2.0)
    assert AcceptedTerms(tmp_path).versions("ihep") == {"v1", "v2"}


def test_a_restored_state_is_read_from_its_beginning(tmp_path: Path):
    terms = AcceptedTerms(tmp_path)
    terms.accept("ihep", "landsat", "v1", 1.0)
    terms.accept("ihep", "landsat", "v2", 1.0)
    terms.versions("ihep")
    file = tmp_path / "accepted-terms.jsonl"
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])
    assert terms.versions("ihep") == {"v1"}
