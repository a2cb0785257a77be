"""Hugging Face: one commit for a whole survey, sha256 for what lies in LFS, pages by Link."""

import json

import pytest
from hypothesis import given, settings

from manifests.readers.huggingface import HuggingfaceOptions, open_reader
from manifests.reading.document import DocumentError
from manifests.stat import Stat
from tests.unit.reader_harness import Source, answer, broken, follows, read_all, stats, survives

ROOT = "https://hub.example/"
REPO = "openslr/librispeech_asr"
COMMIT = "f3b4d2a1" * 5
SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
GIT = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
ASKED = f"{ROOT}api/datasets/{REPO}/revision/main"
TREE = f"{ROOT}api/datasets/{REPO}/tree/{COMMIT}?recursive=true&expand=false"

FIRST = [
    {"type": "directory", "oid": GIT, "size": 0, "path": "data"},
    {"type": "file", "oid": GIT, "size": 2307, "path": ".gitattributes"},
    {
        "type": "file", "oid": GIT, "size": 131, "path": "data/é #1?.parquet",
        "lfs": {"oid": SHA256, "size": 12345678901, "pointerSize": 131}, "xetHash": "ab",
    },
]  # fmt: skip
SECOND = [{"type": "file", "oid": GIT, "size": 5, "path": "README.md", "lfs": None}]


def reader(*repositories, **options):
    return open_reader(Source(ROOT, HuggingfaceOptions(repositories=repositories or (REPO,), **options)))


DOCUMENTS = {
    ASKED: json.dumps({"sha": COMMIT, "lastModified": "2024-01-02T00:00:00.000Z", "siblings": []}),
    TREE: (json.dumps(FIRST), {"link": f'<{TREE}&cursor=a%3D%3D>; rel="next"'}),
    f"{TREE}&cursor=a%3D%3D": json.dumps(SECOND),
}


def test_a_repository_is_read_at_one_commit_page_by_page():
    root = f"{ROOT}datasets/{REPO}/resolve/{COMMIT}/"
    assert read_all(reader(), DOCUMENTS) == [
        Stat(".gitattributes", 2307, version=f"git:{GIT}", digests={"gitblob": GIT}, urls=(root + ".gitattributes",)),
        Stat(
            "data/é #1?.parquet",
            12345678901,
            version=f"git:{GIT}",
            digests={"sha256": SHA256},
            urls=(root + "data/%C3%A9%20%231%3F.parquet",),
        ),
        Stat("README.md", 5, version=f"git:{GIT}", digests={"gitblob": GIT}, urls=(root + "README.md",)),
    ]


@pytest.mark.promise("P5")
def test_files_that_the_commit_has_and_the_tree_does_not_name_make_it_incomplete():
    siblings = [{"rfilename": name} for name in (".gitattributes", "README.md", "data/x", "data/y")]
    asked = json.dumps({"sha": COMMIT, "siblings": siblings})
    with pytest.raises(DocumentError, match="4 files were announced, and the list ends after 3"):
        read_all(reader(), DOCUMENTS | {ASKED: asked})
    assert len(read_all(reader(), DOCUMENTS | {ASKED: json.dumps({"sha": COMMIT, "siblings": siblings[:3]})})) == 3


@pytest.mark.promise("P5")
def test_a_cursor_that_leads_back_makes_a_tree_incomplete():
    again = f"{TREE}&cursor=a%3D%3D"
    documents = DOCUMENTS | {again: (json.dumps(SECOND), {"link": f'<{again}>; rel="next"'})}
    with pytest.raises(DocumentError, match="page 3 of the list repeats an earlier page"):
        read_all(reader(), documents)


def test_models_and_spaces_have_their_own_addresses_and_revisions_may_have_slashes():
    asked = f"{ROOT}api/models/gpt2/revision/refs%2Fpr%2F1"
    tree = f"{ROOT}api/models/gpt2/tree/{COMMIT}?recursive=true&expand=false"
    chosen = reader("gpt2", kind="models", revision="refs/pr/1")
    found = stats(read_all(chosen, {asked: json.dumps({"sha": COMMIT}), tree: json.dumps(SECOND)}))
    assert found["README.md"].urls == (f"{ROOT}gpt2/resolve/{COMMIT}/README.md",)


@pytest.mark.parametrize("body", ["{}", '{"sha": null}', '{"sha": "../x"}', '{"error": "Invalid rev id"}'])
def test_a_revision_without_a_commit_is_told(body):
    with pytest.raises(DocumentError, match=r"names no commit|Invalid rev id"):
        read_all(reader(), {ASKED: body})


def test_a_file_without_a_path_is_told_after_the_others_and_the_next_page_is_read_all_the_same():
    chosen, rows = reader(), json.dumps([{"type": "file", "oid": GIT}, *FIRST])
    (tree,) = chosen.read(_commit(chosen))
    found = survives(chosen, tree, rows, link=f'<{TREE}&cursor=2>; rel="next"')
    assert list(stats(found)) == [".gitattributes", "data/é #1?.parquet"]
    assert [follow.url for follow in follows(found)] == [f"{TREE}&cursor=2"]
    with pytest.raises(DocumentError, match="a file without a path"):
        list(chosen.read(answer(tree, rows)))


@settings(max_examples=40)
@given(broken(json.dumps(FIRST)))
def test_a_broken_tree_is_a_document_error(body):
    chosen = reader()
    (follow,) = chosen.read(_commit(chosen))
    for stat in survives(chosen, follow, body):
        assert set(stat.digests) <= {"sha256", "gitblob"}


def _commit(chosen):
    return answer(next(iter(chosen.start())), DOCUMENTS[ASKED])
