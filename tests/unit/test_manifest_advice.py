"""What `check` says of the common mistakes of a manifest: it names the place, and what to write instead."""

import io
import subprocess

import pytest

from manifests.model import ManifestError, load_mirror
from manifests.readers import autoindex
from manifests.reading import Document, DocumentError, reader_of
from syncd.cli.library import find
from syncd.core import ConfigError
from tests.acceptance.cli import SYNCD

URL = "https://example.org/d/"
PLAIN = f'source: {{url: "{URL}"}}\n'


def told(text):
    """Return the problems of a manifest, one string each without the file's name."""
    with pytest.raises(ManifestError) as caught:
        load_mirror(text, "m.yaml")
    return [str(problem).removeprefix("m.yaml:") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("keys", "place", "says"),
    [
        (f"{PLAIN}schedule: daily", "3:11: schedule", "write schedule: {every: 1d}"),
        (f"{PLAIN}schedule: 6h", "3:11: schedule", "write schedule: {every: 6h}"),
        (f'{PLAIN}schedule: "0 3 * * *"', "3:11: schedule", 'write schedule: {cron: "0 3 * * *"}'),
        (f"source: {URL}", "2:9: source", "write source: {url: …}"),
        (f"{PLAIN}url: {URL}", "3:1: url", "it belongs to source: write url below it"),
        (f"{PLAIN}license: CC0", "3:1: license", "it belongs to about: write licence below it"),
        (f"{PLAIN}name: x", "3:1: name", "did you mean mirror?"),
        (f"{PLAIN}about: {{title: x}}", "3:9: about.title", "write title at the top of the file"),
        (f'source: {{url: "{URL}", rate: 5 MB/s}}', "2:41: source.rate", "it belongs to source.limits"),
        (f'source: {{url: "{URL}", reader: http}}', "2:49: source.reader", "delete the key"),
        ('source: {url: "s3://b/p/", reader: s3}', "2:36: source.reader", "the reader of an s3 url is found by itself"),
        ("source: {url: 127.0.0.1:80/d/}", "2:15: source.url", "write https://127.0.0.1:80/d/"),
        (
            'source: {url: "s3://b/p/", endpoint: "127.0.0.1:9106"}',
            "2:38: source.endpoint",
            "write http://127.0.0.1:9106",
        ),
        (
            'source: {url: "https://example.org/d/x.nc"}',
            "2:15: source.url",
            'the folder is https://example.org/d/, and include: ["/x.nc"] selects the file',
        ),
        (
            f'source: {{url: "{URL}", reader: stac, bbox: "116,39,117,40"}}',
            "2:61: source.bbox",
            "write the numbers as a list: [116, 39, 117, 40]",
        ),
        (
            f'source: {{url: "{URL}", reader: stac, bbox: [39, 116, 40, 117]}}',
            "2:61: source.bbox",
            "latitude and longitude are swapped: write [west, south, east, north], here [116, 39, 117, 40]",
        ),
        (f"source: {{url: “{URL}”, reader: autoindex}}", "2:15: source.url", 'write " at both ends'),
    ],
)
def test_a_common_mistake_is_told_with_what_to_write_instead(keys, place, says):
    (line,) = told(f"mirror: m\n{keys}\n")
    assert line.startswith(f"{place}: ")
    assert says in line


@pytest.mark.parametrize("key", ["access_key", "password", "token", "username", "secret_access_key"])
@pytest.mark.parametrize("where", ["source", ""])
def test_a_secret_in_a_manifest_is_sent_to_the_configuration_and_never_shown(key, where):
    secret = "hunter2hunter2"
    text = f'source: {{url: "{URL}", {key}: {secret}}}' if where else f"{PLAIN}{key}: {secret}"
    (line,) = told(f"mirror: m\n{text}\n")
    assert "write credentials: NAME in the manifest, and in syncd.yaml, below credentials:, NAME: {origin:" in line
    assert secret not in line


def test_credentials_written_out_are_sent_to_the_configuration():
    (line,) = told(f'mirror: m\nsource: {{url: "{URL}", credentials: {{username: me, password: hunter2}}}}\n')
    assert "2:54: source.credentials: is not the name of a credential" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("text", "place", "character"),
    [
        ("mirror：m\nsource: {}\n", "1:7", ":"),
        ("mirror: m\nsource：\n  url: x\n", "2:7", ":"),
        (f'mirror: m\nsource: {{url： "{URL}"}}\n', "2:13", ":"),
        (f'mirror: m\nsource: {{url: "{URL}"，reader: autoindex}}\n', "2:39", ","),
        (f'mirror: m\ntitle: 数据：第一版\nsource: {{url: "{URL}"，reader: autoindex}}\n', "3:39", ","),
        (f'mirror: m\nsource: ｛url: "{URL}"｝\n', "2:9", "{"),
    ],
)
def test_fullwidth_punctuation_is_named_with_its_place(text, place, character):
    line = next(line for line in told(text) if line.startswith(place))
    assert f"a fullwidth {text.splitlines()[int(place[0]) - 1][int(place.partition(':')[2]) - 1]}" in line
    assert f"write {character}" in line


def test_fullwidth_punctuation_in_a_title_is_no_mistake():
    mirror = load_mirror(f"mirror: m\ntitle: “地表温度”：第一版，修订\n{PLAIN}", "m.yaml")
    assert mirror.title == "“地表温度”：第一版，修订"


@pytest.mark.parametrize("quote", ['"', "'"])
def test_an_unclosed_quote_is_told_at_the_line_where_it_opens(quote):
    text = f"mirror: m\nabout:\n  licence: {quote}open\n  contact: x\nsource: {{url: {quote}{URL}{quote}}}\n"
    assert told(text) == ["3:12: file: an unclosed quote: close it"]


def test_a_folder_whose_name_looks_like_that_of_a_file_is_written_with_its_slash():
    assert load_mirror('mirror: m\nsource: {url: "https://example.org/x.nc/"}\n', "m.yaml").source.url.endswith("x.nc/")


@pytest.mark.parametrize(
    ("document", "reader"),
    [
        (b'{"type": "Catalog", "stac_version": "1.0.0", "links": []}', "stac"),
        (b'{"@context": {"cr": "http://mlcommons.org/croissant/"}}', "croissant"),
        (b'{"@context": "https://w3id.org/ro/crate/1.1/context"}', "ro-crate"),
        (b'{"help": "x", "success": true, "result": []}', "ckan"),
        (b'<?xml version="1.0"?>\n<metalink xmlns="urn:ietf:params:xml:ns:metalink"/>', "metalink"),
        (b'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"></urlset>', "resourcesync"),
        (b'<catalog xmlns="http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0"/>', "thredds"),
        (b'<D:multistatus xmlns:D="DAV:"></D:multistatus>', "webdav"),
    ],
)
def test_a_document_of_another_reader_is_told_with_that_reader(document, reader):
    assert reader_of(document) == reader
    listing = autoindex.open_reader(load_mirror(f"mirror: m\n{PLAIN}", "m.yaml").source)
    (asked,) = listing.start()
    with pytest.raises(DocumentError, match=f"write reader: {reader}"):
        list(listing.read(Document(asked, asked.url, {}, io.BytesIO(document))))


@pytest.mark.parametrize("document", [b"<html><body>x</body></html>", b"[]", b'{"a": 1}', b"", b"<list></list>"])
def test_a_document_of_no_known_reader_is_left_to_its_own_error(document):
    assert reader_of(document) == ""


def test_all_manifests_of_the_library_that_begin_alike_are_named():
    with pytest.raises(ConfigError) as caught:
        find("sentinel-2")
    assert str(caught.value).count("sentinel-2") == 3


def test_a_role_that_is_none_is_told_with_the_words_that_may_stand_there():
    words = [str(SYNCD), "token", "anna", "--role", "boss"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "syncd: ROLE: boss is no role: write reader, steward, operator or partner\n",
    )
