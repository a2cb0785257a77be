"""The mirror manifest: what a steward may declare, and how every mistake is told."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, strategies as st
from pydantic import BaseModel, ValidationError

import manifests.model.mirror
from manifests.model.mirror import ManifestError, Mirror, load_mirror, overlaps, schema
from manifests.model.removal_guard import Guard
from manifests.model.source import Source
from manifests.reading.reader import Kinds, NoOptions, ReaderKind, built_in, installed
from manifests.yaml.validation import STRICT

ROOT = Path(__file__).parents[2]
WHOLE = """\
mirror: physionet-mitdb
title: MIT-BIH Arrhythmia Database
source:
  url: https://physionet.org/files/mitdb/1.0.0/
  reader: checksums
  checksums: [SHA256SUMS.txt]
  include: ["**"]
  exclude: ["**/*.tmp"]
  credentials: physionet
  limits: {connections: 16, rate: 50 MB/s, window: "20:00-06:00 Asia/Shanghai"}
store: {prefix: physionet/mitdb/1.0.0/}
schedule: {every: 6h}
guard: {max_removed: 10%}
keep: {versions: 2, removed: 30d}
verify: {require: any, scrub: 30d}
about: {licence: ODC-By-1.0, citation: "…", contact: "…", access: open}
"""


def told(text, **more):
    with pytest.raises(ManifestError) as refused:
        load_mirror(text, "m.yaml", **more)
    assert str(refused.value).splitlines() == [str(problem) for problem in refused.value.problems]
    return [(problem.line, problem.column, problem.where) for problem in refused.value.problems], str(refused.value)


def source(keys):
    return f"mirror: x\nsource: {{{keys}}}\n"


def mirror(name, prefix=None):
    return Mirror.model_validate(
        {"mirror": name, "source": {"url": "https://h/"}, "store": {"prefix": prefix} if prefix else {}}
    )


def test_a_whole_manifest_is_read():
    read = load_mirror(WHOLE, "m.yaml")
    assert (read.name, read.prefix) == ("physionet-mitdb", "physionet/mitdb/1.0.0/")
    assert read.source.reader == "checksums"
    assert (read.source.limits.connections, read.source.limits.rate) == (16, 50_000_000)
    assert str(read.source.limits.window) == "20:00-06:00 Asia/Shanghai"
    assert read.schedule is not None
    assert read.schedule.every == 21_600
    assert (read.keep.versions, read.keep.removed, read.verify.scrub) == (2, 2_592_000, 2_592_000)


def test_two_keys_are_enough_and_the_defaults_do_no_harm():
    read = load_mirror("mirror: x\nsource: {url: 's3://bucket/data'}\n", "m.yaml")
    assert (read.source.url, read.source.reader, read.source.origin) == ("s3://bucket/data/", "objects", "s3://bucket")
    assert (read.prefix, read.schedule, read.keep.versions, read.verify.require) == ("x/", None, 2, "any")
    assert str(read.guard.max_removed) == "10%"
    assert read.about.access is None


def test_a_manifest_written_back_reads_the_same():
    read = load_mirror(WHOLE.replace("10%", "5 GB").replace("6h", "1h30m"), "m.yaml")
    assert load_mirror(read.model_dump_json(by_alias=True, exclude_none=True), "again") == read


def test_all_mistakes_of_a_file_are_told_at_once_each_at_its_place():
    places, text = told(
        "mirror: Physio\n"
        "titel: x\n"
        "source:\n"
        "  url: https://me:hunter2@physionet.org/files/\n"
        "  reader: checksum\n"
        "  endpoint: https://x\n"
        "  limits: {conections: 4, rate: 50 Mb/s, window: 20:00-06:00}\n"
        '  include: "**"\n'
        '  exclude: ["", 3]\n'
        'schedule: {every: 6, cron: "x"}\n'
        "guard: {max_removed: 200%}\n"
        "keep: {versions: -1, removed: 30}\n"
        "verify: {require: all}\n"
        "about: {licence: 3, access: opne}\n"
        "store: {prefix: ../x}\n"
        "title:\n"
        "zzz: 1\n"
    )
    assert places == [
        (1, 9, "mirror"),
        (2, 1, "titel"),
        (4, 8, "source.url"),
        (5, 11, "source.reader"),
        (6, 13, "source.endpoint"),
        (7, 12, "source.limits.conections"),
        (7, 33, "source.limits.rate"),
        (7, 50, "source.limits.window"),
        (8, 12, "source.include"),
        (9, 13, "source.exclude[0]"),
        (9, 17, "source.exclude[1]"),
        (10, 19, "schedule.every"),
        (10, 28, "schedule.cron"),
        (10, 28, "schedule.cron"),
        (11, 22, "guard.max_removed"),
        (12, 18, "keep.versions"),
        (12, 31, "keep.removed"),
        (13, 19, "verify.require"),
        (14, 18, "about.licence"),
        (14, 29, "about.access"),
        (15, 17, "store.prefix"),
        (16, 1, "title"),
        (17, 1, "zzz"),
    ]
    assert "hunter2" not in text
    assert "did you mean title?" in text
    assert "did you mean checksums?" in text
    assert "did you mean connections?" in text


def test_every_line_has_file_line_column_where_what_and_what_to_do():
    _, text = told("mirror: X\nsource: {url: 'https://h/', readr: autoindex}\nkeep: {versions: x}\n")
    assert text.splitlines() == [
        "m.yaml:1:9: mirror: is not a mirror's name: use a-z, 0-9 and -, at most 63, beginning with a letter or a digit",
        "m.yaml:2:29: source.readr: is not a known key: did you mean reader?",
        "m.yaml:3:18: keep.versions: is not a whole number: write a whole number without quotes",
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("title: x\n", ["mirror", "source"]),
        ("mirror: x\nsource: {}\n", ["source.url"]),
        ("mirror: x\nsource:\n", ["source"]),
        ("mirror: x\nsource: http://h/\n", ["source"]),
        ("mirror: 12\nsource: {url: 'http://h/'}\n", ["mirror"]),
        ("mirror: x\nname: y\nsource: {url: 'http://h/'}\n", ["name"]),
        ("mirror: x\nsource: {url: 'http://h/'}\nschedule: {}\n", ["schedule"]),
        (
            "mirror: x\nsource: {url: 'http://h/'}\nschedule: {every: 6h, timezone: Asia/Shanghai}\n",
            ["schedule.timezone"],
        ),
        ("mirror: x\nsource: {url: 'http://h/'}\nschedule: {every: 6h, after: [y]}\n", ["schedule.after"]),
        ("mirror: x\nsource: {url: 'http://h/'}\nschedule: {after: [Y z]}\n", ["schedule.after[0]"]),
        ("mirror: x\nsource: {url: 'http://h/'}\nschedule: {after: []}\n", ["schedule"]),
        ("mirror: x\nsource: {url: 'http://h/'}\nschedule: {fresh_within: 9d}\n", ["schedule"]),
        ("mirror: x\nsource: {url: 'http://h/'}\nschedule: {every: 10ms}\n", ["schedule.every"]),
        ("mirror: x\nsource: {url: 'http://h/'}\nstore: {prefix: .syncd/x}\n", ["store.prefix"]),
        ("mirror: x\nsource: {url: 'http://h/'}\nstore: {prefix: /}\n", ["store.prefix"]),
        ("mirror: x\nsource: {url: 'http://h/'}\nkeep: {versions: true}\n", ["keep.versions"]),
        ("mirror: x\nsource: {url: 'http://h/'}\nkeep: {versions: '2'}\n", ["keep.versions"]),
        ("mirror: x\nsource: {url: 'http://h/'}\nguard: {max_removed: -5}\n", ["guard.max_removed"]),
        ("mirror: x\nsource: {url: 'http://h/'}\nguard: {max_removed: 10 percent}\n", ["guard.max_removed"]),
        (f"mirror: {'a' * 64}\nsource: {{url: 'http://h/'}}\n", ["mirror"]),
        ("mirror: -a\nsource: {url: 'http://h/'}\n", ["mirror"]),
    ],
)
def test_what_is_missing_or_of_another_kind_is_refused(text, where):
    assert [place[2] for place in told(text)[0]] == where


@pytest.mark.parametrize(
    "url",
    [
        "gopher://h/", "physionet.org/x", "https:/h/", "https:///x/", "https://h/?a=b", "https://h/#top", "https://u@h/",
        "https://u:p@h/", "https://h:99999/", "https://h:0/", "https://h h/", "https://h/a b/", "https://h\\x/",
        "file://host/x", "file:x", "s3:///x", "s3://-b/x", "s3://k:s@b/", "https://[::1/", "https://bücher.example/",
        "https://h/\\..\\x", "https://%/",
    ],
)  # fmt: skip
def test_a_url_that_is_no_folder_of_a_known_scheme_is_refused(url):
    assert "source.url" in [place[2] for place in told(source(f"url: '{url}'"))[0]]


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("HTTPS://Example.ORG:443/Data", "https://example.org/Data/"),
        ("http://example.org:8080/a//", "http://example.org:8080/a/"),
        ("http://[::1]:80/x", "http://[::1]/x/"),
        ("s3://Bucket_x/a b", "s3://Bucket_x/a b/"),
        ("file:///srv/data", "file:///srv/data/"),
        ("file://localhost/srv/", "file:///srv/"),
        ("https://h", "https://h/"),
        ("https://h/a%20b", "https://h/a%20b/"),
    ],
)
def test_a_url_ends_in_a_slash_and_has_one_form(url, form):
    assert load_mirror(source(f"url: '{url}'"), "m.yaml").source.url == form


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ("url: 'https://h/', endpoint: 'https://x'", "source.endpoint"),
        ("url: 'https://h/', region: eu", "source.region"),
        ("url: 'file:///x', anonymous: true", "source.anonymous"),
        ("url: 'file:///x', credentials: c", "source.credentials"),
        ("url: 's3://b/', anonymous: true, credentials: c", "source.credentials"),
        ("url: 's3://b/', anonymous: true, requester_pays: true", "source.requester_pays"),
        ("url: 's3://b/', profile: p, credentials: c", "source.profile"),
        ("url: 's3://b/', reader: autoindex", "source.reader"),
        ("url: 'https://h/', reader: objects", "source.reader"),
        ("url: 'https://h/', reader: checksums", "source.checksums"),
        ("url: 'https://h/', reader: checksums, checksums: []", "source.checksums"),
        ("url: 'https://h/', reader: checksums, checksums: ['**/SUMS']", "source.checksums[0]"),
        ("url: 'https://h/', reader: checksums, checksums: ['../SUMS']", "source.checksums[0]"),
        ("url: 'https://h/', reader: checksums, checksums: ['https://h/SUMS']", "source.checksums[0]"),
        ("url: 'https://h/', checksums: ['']", "source.checksums[0]"),
        ("url: 's3://b/', checksums: [SUMS]", "source.checksums"),
        ("url: 'https://h/', include: []", "source.include"),
        ("url: 'https://h/', include: ['!*.tmp']", "source.include"),
        ("url: 'https://h/', credentials: 'my secret'", "source.credentials"),
        ("url: 's3://b/', endpoint: 's3.example.org'", "source.endpoint"),
        ("url: 'https://h/', limits: {connections: 0}", "source.limits.connections"),
        ("url: 'https://h/', limits: {rate: 0 B/s}", "source.limits.rate"),
    ],
)
def test_keys_that_do_not_fit_the_source_are_refused_with_what_to_do(keys, where):
    assert [place[2] for place in told(source(keys))[0]] == [where]


def test_a_clash_does_not_hide_what_else_is_wrong():
    places, _ = told(source("url: 'https://h/', endpoint: 'https://x', zzz: 1, include: [3]"))
    assert sorted(place[2] for place in places) == ["source.endpoint", "source.include[0]", "source.zzz"]


def test_plug_ins_are_known_where_they_are_named():
    text = source("url: 'gopher://h/', reader: stac")
    readers = {"stac": ReaderKind(cast("Any", lambda source: None), schemes=frozenset({"gopher"}))}
    assert load_mirror(text, "m", readers=readers, schemes=("gopher",)).source.origin == "gopher://h"
    assert [place[2] for place in told(source("url: 'gopher://h/'"), schemes=("gopher",))[0]] == ["source"]


def test_a_mirror_made_in_code_is_checked_as_strictly():
    with pytest.raises(ValidationError, match="does not apply to a https url"):
        Mirror.model_validate({"mirror": "x", "source": {"url": "https://h/", "region": "eu"}})
    made = Mirror.model_validate(
        {"mirror": "x", "source": {"url": "https://h/"}, "schedule": {"every": timedelta(hours=6)}}
    )
    with pytest.raises(ValidationError):
        made.title = "other"
    assert hash(made) == hash(made.model_copy())


def test_a_schedule_says_when_the_next_pass_is_due():
    now = datetime(2026, 5, 4, 12, tzinfo=UTC)
    every = load_mirror(WHOLE, "m").schedule
    assert every is not None
    assert every.next_after(now) == now + timedelta(hours=6)
    cron = load_mirror(WHOLE.replace("{every: 6h}", '{cron: "0 3 * * *", timezone: Asia/Shanghai}'), "m").schedule
    assert cron is not None
    assert cron.next_after(now) == datetime(2026, 5, 4, 19, tzinfo=UTC)


def guard(most):
    return Guard.model_validate({"max_removed": most})


def test_a_guard_holds_what_goes_beyond_it():
    assert guard("10%").holds(10, 10, 100, 1000) is None
    assert guard("10%").holds(11, 10, 100, 1000) == "11 of 100 files would be deleted, more than 10%"
    assert guard("10%").holds(1, 101, 100, 1000) == "101 B of 1 kB would be deleted, more than 10%"
    assert guard("0.1%").holds(1, 0, 1000, 1000) is None
    assert guard(5).holds(5, 10**12, 100, 10**13) is None
    assert guard("5 files").holds(6, 0, 100, 0) == "6 files would be deleted, more than 5 files"
    assert guard("5 GB").holds(99, 5 * 10**9, 100, 10**12) is None
    assert guard("5 GB").holds(1, 5 * 10**9 + 1, 100, 10**12) == "5 GB would be deleted, more than 5 GB"
    assert guard(0).holds(0, 0, 100, 1000) is None
    assert guard(0).holds(1, 0, 100, 1000) is not None


@pytest.mark.promise("P5")
@pytest.mark.fault(31)
@given(
    st.sampled_from(["100%", "10%", 10**9, "1 EB"]),
    st.integers(1, 10**9),
    st.integers(0, 10**15),
)
def test_the_removal_of_everything_is_always_held(most, files, size):
    assert guard(most).holds(files, size, files, size) is not None


@given(st.sampled_from(["100%", "10%", 0, "1 B"]), st.integers(0, 10**9), st.integers(0, 10**15))
def test_a_pass_that_removes_nothing_is_never_held(most, files, size):
    assert guard(most).holds(0, 0, files, size) is None


def test_folders_of_mirrors_are_their_own():
    assert (
        overlaps([mirror("a"), mirror("b"), mirror("c", "b-c/"), mirror("d", "deep/a"), mirror("e", "deep/ab")]) == []
    )
    assert len(overlaps([mirror("a"), mirror("a", "elsewhere")])) == 1
    assert len(overlaps([mirror("a", "x/y/z"), mirror("b", "x/y"), mirror("c", "x")])) == 2
    assert len(overlaps([mirror("a", "Data"), mirror("b", "data")])) == 1
    assert "x/y/ and x/ of b" in overlaps([mirror("a", "x/y"), mirror("b", "x")])[0]
    assert overlaps([mirror("a", "x"), mirror("b", "x-y"), mirror("c", "x/z")]) == overlaps(
        [mirror("c", "x/z"), mirror("b", "x-y"), mirror("a", "x")]
    )


def test_the_schema_in_the_tree_is_that_of_the_model():
    file = Path(manifests.model.mirror.__file__).parents[1] / "mirror.schema.json"
    assert json.loads(file.read_text("utf-8")) == schema(), "write it with: python -m manifests.model.mirror"


def keys_of(part, defs, above=""):
    for key, inner in part.get("properties", {}).items():
        yield f"{above}{key}", inner
        for one in (inner, *inner.get("anyOf", ())):
            if "$ref" in one:
                yield from keys_of(defs[one["$ref"].rpartition("/")[2]], defs, f"{above}{key}.")


def test_every_key_of_the_schema_tells_what_it_means():
    whole = schema()
    parts = {f"#/$defs/{name}": part for name, part in whole["$defs"].items()}
    silent = [
        key
        for key, part in keys_of(whole, whole["$defs"])
        if not (part | parts.get(part.get("$ref"), {})).get("description")
    ]
    assert silent == []
    assert '"null"' not in json.dumps(whole)


def test_every_key_is_in_the_document():
    page = (ROOT / "docs" / "writing-a-manifest.md").read_text("utf-8")
    whole = schema()
    keys = [key for key, _ in keys_of(whole, whole["$defs"])]
    assert len(keys) > 30
    assert [
        key for key in keys if f"`{key}`" not in page and not re.search(rf"^#+ {re.escape(key)}$", page, re.MULTILINE)
    ] == []


def test_every_manifest_in_the_documents_passes():
    for page in (ROOT / "docs" / "writing-a-manifest.md", ROOT / "README.md"):
        blocks = re.findall(r"^```yaml\n(mirror:.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
        assert blocks, page
        for block in blocks:
            load_mirror(block, page.name)


def test_a_key_of_another_reader_is_told_as_such_and_a_misspelt_one_is_corrected():
    _, text = told(source("url: 's3://b/', checksums: [SUMS]"))
    assert text == (
        "m.yaml:2:26: source.checksums: is an option of reader autoindex, checksums, table, not of objects: "
        "delete it, or write reader: autoindex"
    )
    _, text = told(source("url: 'https://h/', reader: checksums, checksum: [SUMS]"))
    assert "m.yaml:2:48: source.checksum: is not a known key: did you mean checksums?" in text
    assert "m.yaml:2:1: source.checksums: is missing: add checksums to source" in text
    _, text = told(source("url: 'https://h/', options: {}"))
    assert "source.options: is not a known key" in text


class Corner(BaseModel):
    model_config = STRICT
    west: float = 0


class Wishes(BaseModel):
    model_config = STRICT
    corner: Corner = Corner()
    kind: str


def plug_ins(loaded=None, **more):
    def load(name, options):
        def loaded_now():
            if loaded is not None:
                loaded.append(name)
            return ReaderKind(lambda source: source.options, options)

        return loaded_now

    return Kinds({"maps": load("maps", Wishes), "plain": load("plain", NoOptions), **more})


def test_a_plug_in_brings_its_own_keys_and_every_mistake_in_them_is_told_at_its_place():
    keys = "url: 'https://h/', reader: maps, kind: x, corner: {west: 3}"
    read = load_mirror(source(keys), "m", readers=plug_ins())
    assert read.source.options == Wishes(kind="x", corner=Corner(west=3))
    assert load_mirror(read.model_dump_json(by_alias=True, exclude_none=True), "m", readers=plug_ins()) == read
    assert hash(read) == hash(read.model_copy())
    places, text = told(source("url: 'https://h/', reader: maps, corner: {wset: 3, west: x}"), readers=plug_ins())
    assert places == [(2, 1, "source.kind"), (2, 52, "source.corner.wset"), (2, 67, "source.corner.west")]
    assert "did you mean west?" in text
    _, text = told(source("url: 's3://b/', reader: maps, kind: x"), readers=plug_ins())
    assert "source.reader: maps reads no s3 source: use another url" in text


def test_only_the_reader_that_a_manifest_names_is_loaded():
    loaded = []
    load_mirror(source("url: 'https://h/', reader: plain"), "m", readers=plug_ins(loaded))
    assert loaded == ["plain"]


def test_a_plug_in_that_cannot_be_loaded_is_told_where_it_is_named():
    def broken():
        raise ImportError("no module named pyarrow")

    readers = plug_ins(broken=broken, other=lambda: "no reader")
    _, text = told(source("url: 'https://h/', reader: broken"), readers=readers)
    assert "source.reader: cannot be loaded here (no module named pyarrow): install its dependencies" in text
    _, text = told(source("url: 'https://h/', reader: other"), readers=readers)
    assert "source.reader: is a plug-in of another kind" in text
    _, text = told(source("url: 'https://h/', reader: plain, kind: x"), readers=readers)
    assert "is an option of reader maps, not of plain" in text


@pytest.mark.parametrize("name", built_in())
def test_every_reader_has_a_chapter_that_names_its_options_and_no_other(name):
    page = (ROOT / "docs" / "writing-a-manifest.md").read_text("utf-8")
    chapter = re.search(rf"^### reader: {re.escape(name)}\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
    assert chapter is not None
    listed = re.findall(r"^\* `source\.([\w-]+)`: (.*)$", chapter[1], re.MULTILINE)
    kind = built_in()[name]
    assert [key for key, _ in listed] == list(kind.keys)
    fields = {field.alias or key: field for key, field in kind.options.model_fields.items()}
    assert all(("required" in text) == fields[key].is_required() for key, text in listed)


def test_no_reader_takes_a_key_that_every_source_has():
    own = set(Source.model_fields)
    assert {name: own & set(kind.keys) for name, kind in built_in().items() if own & set(kind.keys)} == {}
    assert set(built_in()) == {name for name in installed() if name in built_in()}


def test_keys_of_ftp_and_sftp_stand_with_their_urls_only():
    ours = (
        'url: "sftp://h:2222/~/x", host_keys: ["SHA256:n3Rf1B1S0JtXGqNsyD7Yc3IvUJ0jyvE0pDX1mZzcN5o"], encoding: latin1'
    )
    read = load_mirror(source(ours), "m.yaml").source
    assert (read.reader, read.origin, read.encoding) == ("objects", "sftp://h:2222", "iso8859-1")
    assert load_mirror(source("url: 'ftps://h:21/x'"), "m.yaml").source.origin == "ftps://h"
    for keys in ("url: 'https://h/'", "url: 'file:///h/'", "url: 's3://h/', reader: hashdeep, lists: [x]"):
        assert load_mirror(source(f"{keys}, encoding: gbk"), "m.yaml").source.encoding == "gbk"
    for keys, where in [
        ("url: 'ftp://h/', host_keys: ['ssh-ed25519 AAAA']", "source.host_keys"),
        ("url: 'sftp://h/', host_keys: ['AAAA']", "source.host_keys[0]"),
        ("url: 'https://h/', reader: zenodo, query: x, encoding: utf-8", "source.encoding"),
        ("url: 's3://h/', encoding: utf-8", "source.encoding"),
        ("url: 'ftp://h/', encoding: klingon", "source.encoding"),
        ("url: 'ftp://h/', encoding: zip", "source.encoding"),
        ("url: 'https://h/', reader: thredds, catalog: 'http://[h/catalog.xml'", "source.catalog"),
        ("url: 'ftp://h/', region: eu", "source.region"),
        ("url: 'ftp://u:p@h/'", "source.url"),
    ]:
        assert [place[2] for place in told(source(keys))[0]] == [where]


SEVERAL = """mirror: x
source:
  - {url: "https://a/", limits: {conections: 3}}
  - {url: "s3://b/", readr: objects}
choose: slow
"""


def test_a_source_may_be_a_list_and_every_mistake_in_it_is_told_at_its_line():
    assert list(told(SEVERAL)[0]) == [
        (3, 34, "source[0].limits.conections"),
        (4, 22, "source[1].readr"),
        (5, 9, "choose"),
    ]
    text = "mirror: x\nchoose: fastest\nsource: [{url: 'https://a/'}, {url: 's3://b/'}]\n"
    read = load_mirror(text, "m.yaml")
    assert (read.source.url, [one.reader for one in read.sources]) == ("https://a/", ["autoindex", "objects"])
    assert load_mirror(read.model_dump_json(by_alias=True, exclude_none=True), "m.yaml") == read
    one = load_mirror(source("url: 'https://a/'"), "m.yaml")
    assert isinstance(json.loads(one.model_dump_json(by_alias=True))["source"], dict)
    for wrong, where in [
        ("source: []", "source"),
        ("source: [{url: 'https://a'}, {url: 'https://a/'}]", "source"),
        ("choose: fastest\nsource: {url: 'https://a'}", "choose"),
        ("source: [{url: 'https://a'}, 5]", "source[1]"),
    ]:
        assert [place[2] for place in told(f"mirror: x\n{wrong}\n")[0]] == [where]
