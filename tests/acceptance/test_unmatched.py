"""A glob or a collection of a manifest that matches nothing upstream is told by plan, sync and check --ask."""

import contextlib
import json
import subprocess

import pytest
from aiohttp import web

from syncd.process import DONE, GUARDED, SOME_FAILED, USAGE
from tests.acceptance.cli import HASTY, SYNCD, Folder, run, start, sync
from tests.servers.web import serving

MANIFEST = """
mirror: m
source:
  url: file://{upstream}/
  settle: 0s
  include: {include}
  exclude: {exclude}
"""


@pytest.fixture
def upstream(tmp_path):
    folder = tmp_path / "www"
    (folder / "sub").mkdir(parents=True)
    for number in range(5):
        (folder / "sub" / f"f{number}.nc").write_bytes(b"%d" % number)
    (folder / "notes.txt").write_bytes(b"notes")
    return folder


def declare(tmp_path, upstream, include='["*.nc"]', exclude="[]"):
    manifest = tmp_path / "m.yaml"
    manifest.write_text(MANIFEST.format(upstream=upstream, include=include, exclude=exclude))
    return Folder(tmp_path / "store"), tmp_path / "state", manifest


def check(*words, wanted=DONE, program=(SYNCD,)):
    done = subprocess.run([*program, "check", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == wanted, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def serve():
    """Serve documents by path, and forbid all others."""
    with contextlib.ExitStack() as stack:

        def serve(documents):
            async def answer(request):
                body = documents.get(request.path)
                if body is None:
                    raise web.HTTPForbidden
                kind = "text/html" if body.startswith("<") else "application/json"
                return web.Response(text=body, content_type=kind)

            def make(_base):
                application = web.Application()
                application.router.add_route("*", "/{path:.*}", answer)
                return application

            return stack.enter_context(serving(make)).url

        yield serve


MISSPELT = ["source.include", "*.nx"], ["source.exclude", "*.tmp"]


def test_globs_without_a_match_are_told_by_plan_and_sync_and_the_rest_is_copied(tmp_path, upstream):
    store, state, manifest = declare(tmp_path, upstream, '["*.nc", "*.nx"]', '["*.tmp", "f0.*"]')
    planned = json.loads(run(store, state, "plan", manifest, "--json"))
    assert (planned["fetch"], planned["unmatched"]) == (4, [*MISSPELT])
    assert "source.include: '*.nx' matches nothing" in run(store, state, "plan", manifest)
    synced = sync(store, state, manifest)
    assert (synced["fetched"], synced["complete"], synced["unmatched"]) == (4, True, [*MISSPELT])
    told = run(store, state, "sync", manifest)
    assert "source.include: '*.nx' matches nothing" in told
    assert "source.exclude: '*.tmp' matches nothing" in told


def test_globs_that_all_match_are_not_mentioned(tmp_path, upstream):
    store, state, manifest = declare(tmp_path, upstream, '["**", "*.nx"]', '["f0.*", "!f0.nc"]')
    assert "unmatched" not in sync(store, state, manifest)
    assert "matches nothing" not in run(store, state, "sync", manifest)


def test_a_set_of_globs_that_matches_nothing_at_all_is_nothing_found_and_names_them(tmp_path, upstream):
    store, state, manifest = declare(tmp_path, upstream, '["*.nx"]')
    process = start(store, state, "sync", manifest, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=240)
    assert process.returncode == GUARDED
    assert "'*.nx' matches nothing" in " ".join(err.split())


DESCRIPTIONS: dict[str, tuple[dict[str, object], str, str]] = {
    "croissant": ({}, "croissant.json", '{"@type": "sc:Dataset", "distribution": []}'),
    "datapackage": ({}, "datapackage.json", '{"name": "x", "resources": []}'),
    "hashdeep": ({"lists": ["list"]}, "list", "%%%% HASHDEEP-1.0\n%%%% size,sha256,filename\n##\n"),
    "table": ({"tables": ["t.tsv"], "address": "path"}, "t.tsv", "path\tmd5\n"),
}


@pytest.mark.promise("P5")
@pytest.mark.parametrize("reader", DESCRIPTIONS)
def test_a_description_that_names_no_file_is_no_file(tmp_path, reader):
    options, name, text = DESCRIPTIONS[reader]
    upstream = tmp_path / "www"
    upstream.mkdir()
    (upstream / name).write_text(text)
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        json.dumps({"mirror": "m", "source": {"url": f"file://{upstream}/", "reader": reader, **options}})
    )
    process = start(Folder(tmp_path / "store"), tmp_path / "state", "sync", manifest, stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=240)
    assert (process.returncode, "no file was found" in " ".join(err.split())) == (GUARDED, True)
    assert not (tmp_path / "store" / "m").exists()
    assert "0 files" in check(manifest, "--ask", wanted=GUARDED)


# -- check --ask ------------------------------------------------------------------------------------------------------


def test_check_asks_nobody_unless_it_is_told_to(tmp_path):
    *_, manifest = declare(tmp_path, tmp_path / "absent")
    assert check(manifest) == "1 file: no problems\n"


def test_a_question_names_what_matches_nothing_and_creates_nothing(tmp_path, upstream, monkeypatch):
    *_, manifest = declare(tmp_path, upstream, '["*.nc", "*.nx"]')
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    told = check(manifest, "--ask", wanted=SOME_FAILED)
    assert "m: the source answers: 5 files that the mirror would copy" in told
    assert "m: warning: source.include: '*.nx' matches nothing" in told
    (answer,) = json.loads(check(manifest, "--ask", "--json", wanted=SOME_FAILED))["asked"]
    assert (answer["files"], answer["is_bounded"]) == (5, False)
    assert answer["unmatched"] == [["source.include", "*.nx"]]
    assert [*empty.iterdir(), *(tmp_path / "tmp").iterdir()] == []


def test_a_question_to_a_source_that_is_not_there_says_so(tmp_path):
    *_, manifest = declare(tmp_path, tmp_path / "absent")
    told = check(manifest, "--ask", wanted=4, program=HASTY)
    assert "m: failed: " in told
    assert "no such folder" in told


def test_a_source_of_which_nothing_is_selected_is_nothing_found(tmp_path, upstream):
    *_, manifest = declare(tmp_path, upstream, '["*.nx"]')
    told = check(manifest, "--ask", wanted=GUARDED)
    assert "a pass would change nothing" in told
    assert "'*.nx' matches nothing" in told


def test_files_that_cannot_be_read_are_told_though_the_listing_is_open(tmp_path, serve):
    page = '<html><body><pre><a href="x.nc">x.nc</a>  02-Jan-2026 03:04  9</pre></body></html>'
    base = serve({"/d/": page})
    manifest = tmp_path / "m.yaml"
    manifest.write_text(f"mirror: m\nsource: {{url: '{base}/d/', reader: autoindex}}\n")
    told = check(manifest, "--ask", "--allow-private", base, wanted=SOME_FAILED)
    assert "the source answers: 1 file" in told
    assert "the files cannot be downloaded: " in told
    assert "does it need source.credentials?" in told


def test_a_reader_that_does_not_fit_is_told(tmp_path, serve):
    base = serve({"/d/search": '{"not": "stac"}'})
    manifest = tmp_path / "m.yaml"
    manifest.write_text(f"mirror: m\nsource: {{url: '{base}/d/', reader: stac, method: GET, collections: [x]}}\n")
    assert "neither items nor a catalogue" in check(manifest, "--ask", "--allow-private", base, wanted=4)


def test_a_manifest_with_a_mistake_is_not_asked_and_the_others_are(tmp_path, upstream):
    *_, manifest = declare(tmp_path, upstream)
    (tmp_path / "broken.yaml").write_text("mirror: [\n")
    told = check(manifest, tmp_path / "broken.yaml", "--ask", wanted=USAGE)
    assert "broken.yaml:" in told
    assert "m: the source answers: 5 files" in told


def test_a_large_source_is_asked_for_a_part_only(tmp_path, upstream):
    for number in range(2_000):
        (upstream / "sub" / f"g{number:04}.nc").touch()
    *_, manifest = declare(tmp_path, upstream, '["*.nc", "zz*"]')
    text = manifest.read_text().replace("source:", "source:\n  limits: {max_files: 1000}", 1)
    manifest.write_text(text)
    told = check(manifest, "--ask", wanted=SOME_FAILED)
    assert "and has more than was asked for" in told
    assert "'zz*' matches nothing among the first " in told
