"""`source.settle` and `source.complete` of a manifest: values, defaults, and mistakes with what to do."""

import pytest

from manifests.model.mirror import ManifestError, load_mirror


def load(text, url="file:///srv/drop/"):
    return load_mirror(f'mirror: m\nsource:\n  url: "{url}"\n  {text}\n', "m.yaml").source


@pytest.mark.parametrize(
    ("url", "settles"),
    [("file:///d/", 5.0), ("sftp://h/d/", 5.0), ("ftp://h/d/", 5.0), ("https://h/d/", 0.0), ("s3://b/d/", 0.0)],
)
def test_sources_that_people_write_to_settle_five_seconds(url, settles):
    assert load("exclude: []", url).settles_after == settles


@pytest.mark.parametrize(("text", "settles"), [("0s", 0.0), ("30s", 30.0), ("5m", 300.0), ("1h30m", 5400.0)])
def test_settle_is_a_duration_or_none(text, settles):
    found = load(f"settle: {text}")
    assert found.settles_after == settles
    assert load(f"settle: {found.model_dump(mode='json')['settle']}").settle == settles


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("{folder: tmp}", "a/tmp/b", True),
        ("{folder: tmp/}", "tmp/b", True),
        ("{folder: tmp}", "a/tmp", False),
        ("{folder: tmp}", "atmp/b", False),
        ('{temporary: ["*.part", ".*"]}', "deep/a.part", True),
        ('{temporary: ["*.part", ".*"]}', "deep/.a", True),
        ('{temporary: ["*.part"]}', "a.part.h5", False),
        ("{suffix: .done}", "a.part", False),
    ],
)
def test_names_of_files_that_are_being_written(text, path, expected):
    assert load(f"complete: {text}").complete.is_temporary(path) is expected


@pytest.mark.parametrize(
    ("text", "what", "todo"),
    [
        ("settle: 30", "is a number without a unit", "30s"),
        ("settle: 30 days", "is longer than a week", "shorter"),
        ("complete: {}", "names no way", "write suffix"),
        ("complete: {suffix: .done, sidecar: .md5}", "cannot be combined with suffix", "keep one"),
        ("complete: {suffix: done}", "is not the end of a file name", ".done"),
        ("complete: {folder: a/b}", "is not the name of one folder", "tmp/"),
        ("complete: {temporary: []}", "is empty", "name at least one"),
        ("complete: {sufix: .done}", "is not a known key", "suffix"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_to_do(text, what, todo):
    with pytest.raises(ManifestError) as caught:
        load(text)
    (problem,) = caught.value.problems
    assert problem.line == 4
    assert what in problem.what
    assert todo in problem.todo
