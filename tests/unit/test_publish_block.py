"""The publish block of a manifest: its types, and that a copy is never declared more open than the dataset."""

from datetime import date

import pytest

from manifests.model.mirror import ManifestError, load_mirror
from manifests.yaml import ManifestProblem

HEAD = "mirror: m\nsource: {url: 'https://h/d/', reader: autoindex}\n"
WHOLE = """\
about: {access: registered, redistribution: conditions}
publish:
  to: [catalogue, oai, stac, croissant, events]
  title: {en: Landsat, zh: 陆地卫星}
  description: {en: "Scenes of the Landsat satellites over China, as published."}
  creators: [{name: U.S. Geological Survey, ror: https://ror.org/035a68863}, {name: A, orcid: 0000-0002-1825-0097}]
  identifiers: [{cstr: "CSTR:31253.11.sciencedb.01234"}, {doi: "https://doi.org/10.5281/zenodo.1234"}]
  same_as: https://www.usgs.gov/landsat-missions
  themes: [earth]
  keywords: [Landsat]
  spatial: [73.5, 18.1, 135.1, 53.6]
  temporal: [2013-03, ".."]
  access: registered
  terms: {en: Cite us.}
  contact: data@example.org
"""


def problems(text: str) -> tuple[ManifestProblem, ...]:
    with pytest.raises(ManifestError) as refused:
        load_mirror(HEAD + text, "m.yaml")
    return tuple(refused.value.problems)


def test_every_key_is_read_and_a_manifest_written_back_reads_the_same():
    read = load_mirror(HEAD + WHOLE, "m.yaml")
    assert read.publish is not None
    assert read.publish.title is not None
    assert read.publish.title.texts == {"en": "Landsat", "zh": "陆地卫星"}
    assert read.publish.title.best("zh") == "陆地卫星"
    assert [(one.scheme, one.value) for one in read.publish.identifiers] == [
        ("cstr", "31253.11.sciencedb.01234"),
        ("doi", "10.5281/zenodo.1234"),
    ]
    assert read.publish.identifiers[1].url == "https://doi.org/10.5281/zenodo.1234"
    assert read.publish.creators[1].orcid == "https://orcid.org/0000-0002-1825-0097"
    assert read.publish.temporal == ("2013-03", "..")
    assert load_mirror(read.model_dump_json(by_alias=True, exclude_none=True), "again") == read


def test_a_mirror_without_the_block_is_private_and_an_empty_block_publishes_it():
    assert load_mirror(HEAD, "m.yaml").publish is None
    assert load_mirror(HEAD + "publish: {}\n", "m.yaml").publish is not None


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("about: {access: restricted}\npublish: {access: open}\n", "publish.access"),
        ("about: {access: controlled}\npublish: {access: registered}\n", "publish.access"),
        ("about: {access: registered}\npublish: {access: open}\n", "publish.access"),
        ("about: {access: open, redistribution: forbidden}\npublish: {}\n", "publish"),
        ("about: {access: embargoed}\npublish: {}\n", "about"),
        ("about: {access: embargoed}\npublish: {access: open}\n", "about"),
        ("about: {access: open, embargo: 2027-01-31}\n", "about.embargo"),
        ("about: {access: embargoed, embargo: 2027-02-30}\n", "about.embargo"),
        ("about: {access: embargoed, embargo: 20270131}\n", "about.embargo"),
    ],
)
def test_a_copy_is_not_declared_more_open_than_its_dataset(text: str, where: str):
    assert [problem.where for problem in problems(text)] == [where]


@pytest.mark.parametrize(
    "text",
    [
        "about: {access: open}\npublish: {access: restricted}\n",
        "about: {access: controlled}\npublish: {access: restricted}\n",
        "about: {access: embargoed, embargo: 2027-01-31}\npublish: {access: open}\n",
        "about: {access: embargoed}\npublish: {access: restricted}\n",
        "about: {access: embargoed, embargo: 2027-01-31}\n",
        "publish: {access: open}\n",
    ],
)
def test_a_copy_may_be_as_open_as_its_dataset_or_less(text: str):
    read = load_mirror(HEAD + text, "m.yaml")
    assert read.about.embargo in {None, date(2027, 1, 31)}


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ("identifiers: [{doi: 10.x}]", "publish.identifiers[0].doi"),
        ("identifiers: [{doi: 10.5281}]", "publish.identifiers[0].doi"),
        ("identifiers: [{cstr: 3125.11.x}]", "publish.identifiers[0].cstr"),
        ("identifiers: [{doi: 10.5281/a, cstr: 31253.11.x}]", "publish.identifiers[0]"),
        ("identifiers: [{}]", "publish.identifiers[0]"),
        ("identifiers: {doi: 10.5281/a}", "publish.identifiers"),
        ("creators: [{name: A, orcid: 0000-0002-1825-0098}]", "publish.creators[0].orcid"),
        ("creators: [{name: A, orcid: 0000000218250097}]", "publish.creators[0].orcid"),
        ("creators: [{name: A, ror: https://ror.org/035a68864}]", "publish.creators[0].ror"),
        ("creators: [{name: A, ror: https://ror.org/135a68863}]", "publish.creators[0].ror"),
        ("creators: [{name: A, ror: 035a68863, orcid: 0000-0002-1825-0097}]", "publish.creators[0].orcid"),
        ("creators: [{ror: 035a68863}]", "publish.creators[0].name"),
        ("creators: [A]", "publish.creators[0]"),
        ("same_as: javascript:alert(1)", "publish.same_as"),
        ("same_as: https://me:secret@h/", "publish.same_as"),
        ("spatial: [10, 50, 20, 40]", "publish.spatial"),
        ("spatial: [20, 40, 10, 50]", "publish.spatial"),
        ("spatial: [18.1, 73.5, 53.6, 135.1]", "publish.spatial"),
        ("spatial: [1, 2, 3]", "publish.spatial"),
        ("temporal: [2020, 2010]", "publish.temporal"),
        ("temporal: [2020-13, 2021]", "publish.temporal"),
        ("temporal: [2020-02-30, 2021]", "publish.temporal"),
        ("temporal: [2020]", "publish.temporal"),
        ("to: [dcat]", "publish.to[0]"),
        ("title: {}", "publish.title"),
        ("title: Landsat", "publish.title"),
        ("title: {fr: Landsat}", "publish.title.fr"),
        ("access: controlled", "publish.access"),
    ],
)
def test_what_is_malformed_is_told_at_its_place(keys: str, where: str):
    assert [problem.where for problem in problems(f"publish: {{{keys}}}\n")] == [where]


def test_check_digits_ending_in_x_and_other_known_identifiers_are_accepted():
    text = "creators: [{name: A, orcid: 0000-0002-1694-233X}, {name: B, ror: 05dxps055}, {name: C, ror: ror.org/01bj3aw27}]"
    read = load_mirror(f"{HEAD}publish: {{{text}}}\n", "m.yaml")
    assert read.publish is not None
    assert read.publish.creators[2].ror == "https://ror.org/01bj3aw27"


def test_a_box_over_the_antimeridian_is_accepted():
    read = load_mirror(f"{HEAD}publish: {{spatial: [177, -20, -178, -12]}}\n", "m.yaml")
    assert read.publish is not None
    assert read.publish.spatial == (177, -20, -178, -12)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("publish: open\n", "write publish: {access: open}"),
        ("publish: true\n", "write publish: {access: open}"),
        ("publish: {title: 陆地卫星}\n", "write title: {zh: …}"),
        ("publish: {terms: Cite us}\n", "write terms: {en: …}"),
        ("publish: {identifiers: 10.5281/a}\n", "write it as in identifiers: [{doi: 10.…}, {cstr: …}]"),
        ("publish: {licence: MIT}\n", "it belongs to about"),
        ("about: {access: restricted}\npublish: {access: open}\n", "write access: restricted"),
    ],
)
def test_the_remedy_says_what_to_write(text: str, remedy: str):
    (problem,) = problems(text)
    assert remedy in str(problem)


def test_changed_terms_have_another_version_and_no_terms_have_none():
    versions = []
    for terms in ("", "terms: {en: Cite us.}", "terms: {en: Cite us!}", "terms: {zh: Cite us.}"):
        publish = load_mirror(f"{HEAD}publish: {{{terms}}}\n", "m.yaml").publish
        assert publish is not None
        versions.append(publish.terms_version)
    assert versions[0] == ""
    assert len(set(versions)) == 4
