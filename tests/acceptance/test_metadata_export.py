"""`syncd metadata export` writes what the node says of its published mirrors, and refuses to name the private ones."""

import json
import subprocess

import pytest

from tests.acceptance.cli import Folder, run, start

MANIFEST = """
mirror: {name}
title: Scenes of {name}
source: {{url: 'file://{root}/', settle: 0s}}
about: {{licence: CC-BY-4.0, access: open}}
"""
PUBLISH = """
publish:
  title: {en: Scenes, zh: 影像}
  identifiers: [{doi: 10.5072/scenes}]
  spatial: [-43.2, 70.9, -34.9, 73.4]
  temporal: ["2015", ".."]
  same_as: https://www.example.gov/scenes
"""
SERVE = "serve: {name: cn-demo, url: 'https://data.example.org/', publisher: {name: {en: Demo Centre, zh: 中心}}}\n"


@pytest.fixture
def node(tmp_path):
    """Two mirrors, of which one is published; what runs a command, and the folder that it writes to."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "a b.tif").write_bytes(b"1")
    store, state = Folder(tmp_path / "store"), tmp_path / "state"
    (tmp_path / "syncd.yaml").write_text(SERVE)
    for name, publish in (("scenes", PUBLISH), ("secret", ""), ("quiet", "\npublish: {to: [oai]}\n")):
        (tmp_path / f"{name}.yaml").write_text(MANIFEST.format(name=name, root=tmp_path / "www") + publish)
        run(store, state, "sync", tmp_path / f"{name}.yaml")
    config = ("--config", tmp_path / "syncd.yaml")
    return store, state, config, tmp_path / "out"


def exported(node, *more):
    store, state, config, out = node
    return run(store, state, "metadata", "export", "--out", out, *more, *config)


def refused(node, *more, config=None):
    store, state, given, out = node
    words = ("metadata", "export", "--out", out, *more, *(given if config is None else config))
    process = start(store, state, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 2 or "no mirror" in err
    return err


def test_every_format_is_written_under_the_paths_of_the_node(node):
    written = {one["file"] for one in json.loads(exported(node, "--format", "all", "--json"))}
    out = node[3]
    assert written == {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {
        "catalogue.ttl", "catalogue.rdf", "catalogue.jsonld", "feed.atom", "sitemap.xml", "stac/catalog.json",
        "stac/scenes/collection.json", "waf/index.html", "waf/scenes.xml", "oai/Identify.xml", "oai/oai_dc/scenes.xml",
        "mirrors/scenes/datacite.xml", "mirrors/scenes/croissant.json", "mirrors/scenes/ro-crate-metadata.json",
        "mirrors/scenes/citation.bib", "mirrors/scenes/feed.json", "mirrors/scenes/gbt30523.xml",
        "mirrors/scenes/dataset.jsonld", ".well-known/resourcesync", "mirrors/scenes/resourcelist.xml",
    } <= written  # fmt: skip
    texts = {path: (out / path).read_text("utf-8") for path in written}
    assert not [path for path, text in texts.items() if "secret" in path + text]
    assert "https://data.example.org/mirrors/scenes/" in texts["catalogue.ttl"]
    (file,) = json.loads(texts["mirrors/scenes/croissant.json"])["distribution"]
    assert file["contentUrl"].endswith("/files/a%20b.tif")
    # publish.to limits where a mirror is listed
    assert {path for path in written if path.endswith("quiet.xml")} == {"oai/oai_dc/quiet.xml"}
    assert "quiet" not in texts["catalogue.ttl"]


def test_a_private_mirror_is_refused_by_name_with_the_remedy(node):
    assert "secret: is private: write publish in its manifest" in refused(node, "--format", "dcat", "secret")
    assert "quiet: is not listed there: add catalogue to publish.to" in refused(node, "--format", "dcat", "quiet")
    assert not node[3].exists()


def test_a_wrong_format_and_a_missing_node_say_what_to_write(node, tmp_path):
    assert "allowed: all, bibtex" in refused(node, "--format", "marc")
    (tmp_path / "bare.yaml").write_text("{}\n")
    assert "write serve with name, url and publisher" in refused(
        node, "--format", "dcat", config=("--config", tmp_path / "bare.yaml")
    )


def test_a_folder_that_cannot_be_written_is_named(node):
    out = node[3]
    out.write_text("a file")
    store, state, config, _ = node
    words = ("metadata", "export", "--format", "sitemap", "--out", out, *config)
    process = start(store, state, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=240)
    assert process.returncode not in (0, 1)
    assert f"{out / 'sitemap.xml'}: cannot be written" in err
