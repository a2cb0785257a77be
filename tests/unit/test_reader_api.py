"""The face for readers of other packages, and the import paths that it replaces."""

import importlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from manifests import reader_api
from manifests.reading.document import Document, DocumentError, DocumentRequest

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-reader.md"

# what the page of 0.1 had its readers import
OLD = {
    "manifests.answers": ("digests", "size", "answer"),
    "manifests.checked": ("STRICT",),
    "manifests.document": ("Document", "Follow", "Found", "Made", "Gone", "Mark", "Note", "DocumentError"),
    "manifests.reader": ("Opened", "ReaderKind", "chosen"),
}


def test_the_page_imports_from_the_face_and_from_nothing_else_of_ours():
    (example, *_) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert set(re.findall(r"^from ((?:manifests|syncd|transports)\S*)", example, re.MULTILINE)) == {
        "manifests.reader_api"
    }


def test_every_name_of_the_face_is_there():
    assert reader_api.VERSION == 1
    assert [name for name in reader_api.__all__ if not hasattr(reader_api, name)] == []


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in OLD.items() for name in names])
def test_an_old_import_path_works_and_warns_with_the_new_name(module, name):
    with pytest.warns(DeprecationWarning, match=rf"{module}\.{name} is going to be removed in 0\.3: import \w+ from"):
        found = getattr(importlib.import_module(module), name)
    renamed = {
        "Follow": "DocumentRequest",
        "Made": "DerivedFile",
        "Gone": "Deleted",
        "Mark": "Cursor",
        "Note": "ReaderWarning",
        "Opened": "ReaderSource",
        "answer": "read_json",
    }
    assert found is getattr(reader_api, renamed.get(name, name))


def test_rows_that_were_not_read_are_told_under_the_old_name():
    unread = importlib.import_module("manifests.answers").Unread(
        Document(DocumentRequest("list"), "https://a.example/list", {}, io.BytesIO())
    )
    unread.add("a row")
    with pytest.warns(DeprecationWarning, match="use SkippedEntries"), pytest.raises(DocumentError, match="a row"):
        unread.tell()


def test_a_name_that_never_was_is_an_error_that_names_the_old_path():
    with pytest.raises(AttributeError, match=r"module 'manifests\.reader' has no attribute 'nothing'"):
        importlib.import_module("manifests.reader").nothing  # noqa: B018  the lookup is what is tried


def test_syncd_itself_uses_no_old_path():
    code = (
        "import sys, syncd.cli.app, manifests.model.mirror; print([m for m in sys.modules if m in set(sys.argv[1:])])"
    )
    done = subprocess.run([sys.executable, "-c", code, *OLD], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
