"""A file read as YAML: every mistake at its line and column, nothing that could grow without bound, nothing guessed."""

import time

import pytest
from hypothesis import given, strategies as st

from manifests.yaml.parse import MAX_BYTES, read
from manifests.yaml.yaml_tree import MOST_PROBLEMS, ManifestError, dotted


def problems(text):
    try:
        return tuple(read(text, "f.yaml").problems)
    except ManifestError as error:
        return error.problems


def reported(text):
    """Return what a person is shown of them."""
    with pytest.raises(ManifestError) as refused:
        read(text, "f.yaml").refuse()
    return refused.value.problems


def told(text):
    return [str(problem) for problem in problems(text)]


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("", 1, 1, "the file is empty"),
        ("# nothing\n", 1, 1, "the file is empty"),
        ("- a\n", 1, 1, "the file is not a mapping"),
        ("word", 1, 1, "the file is not a mapping"),
        ("a:\n\tb: 1\n", 2, 1, "a tab"),
        ("a: *x\n", 1, 4, "an alias"),
        ("a: **/*.nc\n", 1, 4, "an alias"),
        ("a: &x 1\n", 1, 4, "an anchor"),
        ("a: !!python/object:os.system x\n", 1, 4, "a tag"),
        ("a: !foo!bar x\n", 1, 4, "a value that begins with !"),
        ("a: @x\n", 1, 4, "cannot start"),
        ("a: %x\n", 1, 4, "cannot start"),
        ("a: 1\nb: 2\na: 3\n", 3, 1, "is a duplicate key, first used in line 1"),
        ("a: {b: 1, b: 2}\n", 1, 11, "is a duplicate key"),
        ("a:\nb: 1\n", 1, 1, "has no value"),
        ("a: null\n", 1, 1, "has no value"),
        ("a: b\n---\nc: d\n", 2, 1, "a second document"),
        ("a: [1\nb: 2\n", 2, 2, "unclosed ["),
        ("a: 'x\n", 2, 1, "unclosed quote"),
        ("a: b: c\n", 1, 5, "a second `: `"),
        ("a: 1\n  b: 2\n", 2, 4, "a second `: `"),
        ("a: b\nfoo\nc: d\n", 3, 1, "neither"),
        ("? [a]\n: 1\n", 1, 3, "a key that is not text"),
        ("a: \x00", 1, 4, "control character"),
        ('a: "\\0"', 1, 4, "control character"),
        ('a: "\\ud800"', 1, 4, "control character"),
        (b"a: 1\nb: x\xff", 2, 5, "0xff is not UTF-8"),
    ],
)
def test_a_mistake_is_told_at_its_place_with_what_to_do(text, line, column, what):
    found = problems(text)[0]
    assert (found.line, found.column) == (line, column)
    assert what in found.what
    assert found.todo


def test_all_mistakes_are_told_at_once():
    assert told("a: *x\nb: &y 1\na: 2\nc:\n") == [
        'f.yaml:1:4: a: an alias (a value that begins with *): write it out, or put it in quotes, as in "*.nc"',
        "f.yaml:2:4: b: an anchor (a value that begins with &): write the value without it, or quote it",
        "f.yaml:3:1: a: is a duplicate key, first used in line 1: delete one of the two",
        "f.yaml:4:1: c: has no value: write one, or delete the key",
    ]


def test_yaml_is_version_1_2():
    tree = read(
        "a: yes\nb: 017\nc: 0o17\nd: 1:30\ne: 2024-01-01\nf: true\ng: 1e3\nh: '1'\ni: 10%\nj: 0x10\nk: ! 5\n", "f"
    )
    assert not tree.problems
    assert tree.root == {
        "a": "yes", "b": 17, "c": 15, "d": "1:30", "e": "2024-01-01", "f": True, "g": 1000.0, "h": "1", "i": "10%",
        "j": 16, "k": 5,
    }  # fmt: skip


def test_json_is_yaml():
    assert read('{"mirror": "x", "n": [1, {"y": null_}]}', "f").root == {"mirror": "x", "n": [1, {"y": "null_"}]}


def test_places_count_from_one_in_characters():
    tree = read("\ufeffa: 1\nü: [x, {y: 2}]\r\nb: 3\n", "f")
    assert tree.keys["ü", 1, "y"] == (2, 9)
    assert tree.values["ü", 1, "y"] == (2, 12)
    assert tree.keys[("b",)] == (3, 1)
    assert dotted(("source", "include", 0)) == "source.include[0]"


@pytest.mark.promise("P9")
@pytest.mark.fault(17)
@pytest.mark.parametrize(
    "bomb",
    [
        "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*a, *a, *a]\n" for c in "bcdefgh"),
        "[" * 200_000,
        "{" * 200_000,
        "- " * 200_000,
        "a: [" + "x," * 100_000,
        "a" * (MAX_BYTES + 1),
        b"a" * (MAX_BYTES + 1),
        "? " * 10_000,
    ],
    ids=["aliases", "brackets", "braces", "dashes", "values", "text", "bytes", "keys"],
)
def test_a_bomb_is_refused_before_it_grows(bomb):
    assert problems(bomb)


def test_a_syntax_error_quotes_nothing_of_the_file():
    for text in (
        "a: !hunter!2 x",
        "a: {b: hunter2",
        "a: 'hunter2",
        "a: @hunter2",
        "hunter2: [",
        "a: *hunter2",
        "a: &hunter2 x",
    ):
        assert "hunter" not in "".join(problem.what + problem.todo for problem in problems(text))


@pytest.mark.parametrize(
    "text",
    ["a: !" + "b" * 900_000 + " c", "a: !<" + "b" * 900_000 + "> c", "a: [" + "!b c, " * 15_000 + "]", "- " * 500_000],
    ids=["tag", "verbatim", "tags", "nested"],
)
def test_a_file_made_to_be_slow_takes_seconds_and_few_lines(text):
    began = time.process_time()
    told = reported(text)
    assert time.process_time() - began < 20  # one tag of that length took half a minute
    assert 1 <= len(told) <= MOST_PROBLEMS + 1


def test_of_very_many_mistakes_the_first_are_told_and_the_rest_are_counted():
    told = reported("".join(f"k{number}: !x y\n" for number in range(200)))
    assert [problem.line for problem in told] == [*range(1, MOST_PROBLEMS + 1), MOST_PROBLEMS + 1]
    assert told[-1].what == "150 more mistakes"


@given(st.text(st.sampled_from("ab:-?[]{},&*!|>'\"%@`#~ \n\t\\0é"), max_size=40))
def test_any_text_is_read_or_refused_and_nothing_else(text):
    for problem in problems(text):
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.what
        assert problem.todo
