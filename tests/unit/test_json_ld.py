"""JSON-LD as portals write it: names with and without prefixes, references, lists, literals; and stable names."""

import json

from hypothesis import given, strategies as st

from manifests.reading import NodeGraph, dataset_folder, download_names, local_name

FORMS = [
    {"@type": "dcat:Dataset", "dcat:distribution": {"@type": "dcat:Distribution", "dcat:downloadURL": "https://x/a"}},
    {"@graph": [{"@id": "_:d", "@type": ["Dataset"], "distribution": [{"@id": "#1"}]}, {"@id": "#1", "downloadURL": {"@id": "https://x/a"}}]},
    [{
        "@type": "http://www.w3.org/ns/dcat#Dataset",
        "http://www.w3.org/ns/dcat#distribution": [
            {"http://www.w3.org/ns/dcat#downloadURL": [{"@value": "https://x/a"}], "@id": "https://x/d"}
        ],
    }],
]  # fmt: skip


def test_one_download_is_found_in_whatever_form_it_is_written():
    for form in FORMS:
        data = NodeGraph(form)
        (dataset,) = data.of_type("Dataset")
        (found,) = data.linked(dataset, "distribution")
        assert data.written(found, "downloadURL") == "https://x/a"


def test_a_name_has_no_prefix_and_no_namespace():
    names = ["dcat:mediaType", "http://www.w3.org/ns/dcat#mediaType", "https://schema.org/mediaType", "mediaType"]
    assert {local_name(name) for name in names} == {"mediaType"}


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["@id", "@type", "@graph", "@value", "a:b", "b"]), inner),
)  # fmt: skip


@given(json_values)
def test_no_document_is_too_odd(document):
    data = NodeGraph(document)
    for node in data.nodes:
        data.linked(node, "b")
        data.written(node, "b")
    list(data.of_type("b"))


def test_nothing_below_sixty_levels_is_read():
    document: object = {"@type": "Dataset"}
    for _ in range(100):
        document = [document]
    assert NodeGraph(json.loads(json.dumps(document))).nodes == []


def test_downloads_that_share_a_name_have_a_folder_each_and_a_name_without_an_extension_gets_one():
    links = [
        ("https://x/a/data.csv", ""),
        ("https://y/b/DATA.csv", ""),
        ("https://x/c/10.1594/P.1?format=tab", "text/csv"),
    ]
    first, second, third = download_names(links)
    assert (first[8:], second[8:], third) == ("/data.csv", "/DATA.csv", "P.1.csv")
    assert first[:8] != second[:8]


@given(st.lists(st.tuples(st.text(), st.text()), unique_by=lambda link: link[0]))
def test_no_two_downloads_share_a_name_and_the_order_does_not_matter(links):
    named = dict(zip(links, download_names(links), strict=True))
    assert len({name.lower() for name in named.values()}) == len(links)
    assert dict(zip(links[::-1], download_names(links[::-1]), strict=True)) == named


def test_a_dataset_has_a_folder_named_by_its_identifier():
    assert dataset_folder("https://data.example.org/id/dataset/air 2024") == "data.example.org_id_dataset_air_2024"
    assert dataset_folder("doi:10.5061/dryad.x") == "doi_10.5061_dryad.x"
    assert dataset_folder("...") == ""
