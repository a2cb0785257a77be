"""The face for readers of other packages, and the import paths that it replaces."""

import importlib
import io
import subprocess
import sys
import types
import warnings

import pytest

import syncd.core
from manifests import reader_api
from manifests.reading.document import Document, DocumentError, DocumentRequest
from manifests.stat import Stat
from tests.plug_ins import block, documented, imports

# what the page of 0.1 had its readers import, or named
OLD = {
    "manifests.answers": ("digests", "size", "answer"),
    "manifests.checked": ("STRICT",),
    "manifests.document": ("Document", "Follow", "Found", "Made", "Gone", "Mark", "Note", "DocumentError"),
    "manifests.reader": ("Opened", "ReaderKind", "chosen"),
    "manifests.xml": (),
}

# the reader in docs/writing-a-reader.md of 0.1, without its docstrings
OLD_READER = """
from collections.abc import Iterable, Iterator

from pydantic import BaseModel

from manifests.answers import Unread, digests, size
from manifests.checked import STRICT
from manifests.document import Document, Follow, Found
from manifests.reader import Opened, ReaderKind, chosen
from manifests.stat import Stat


class Options(BaseModel):
    model_config = STRICT

    list: str = "list.tsv"


class TsvReader:
    def __init__(self, name: str) -> None:
        self.name = name

    def start(self) -> Iterable[Follow]:
        return [Follow(self.name)]

    def read(self, document: Document) -> Iterator[Found]:
        folder, unread = document.asked.state, Unread(document)
        for line in document.lines():
            name, *rest = line.decode("utf-8", "surrogateescape").split("\\t")
            if name.endswith("/"):
                yield Follow(folder + name + self.name, state=folder + name)
            elif len(rest) == 2:
                yield Stat(folder + name, size(rest[0]), digests=digests(("sha256", rest[1])))
            else:
                unread.add(f"{name!r} has not two values behind it")
        unread.tell()


def open_reader(source: Opened) -> TsvReader:
    return TsvReader(chosen(source, Options).list)


READER = ReaderKind(open_reader, Options)
"""


def test_the_page_of_readers_documents_every_name_of_the_face_and_no_other():
    assert documented("syncd_tsv", "What you may import") == set(reader_api.__all__)


def test_the_page_of_transports_documents_names_that_are_there():
    assert [name for name in documented("syncd_zip", "What you may import") if not hasattr(syncd.core, name)] == []


def test_the_example_of_a_reader_imports_documented_names_only():
    face = {("manifests.reader_api", name) for name in documented("syncd_tsv", "What you may import")}
    used = imports(block("syncd_tsv", "python"))
    assert used
    assert used - face == set()


def test_the_example_of_a_transport_imports_documented_names_only():
    face = {("syncd.core", name) for name in documented("syncd_zip", "What you may import")}
    used = imports(block("syncd_zip", "python"))
    assert ("syncd.core", "Body") in used
    assert used - face == {("manifests.reader_api", "Stat")}


def test_every_name_of_the_face_is_there():
    assert reader_api.VERSION == 1
    assert [name for name in reader_api.__all__ if not hasattr(reader_api, name)] == []


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in OLD.items() for name in names])
def test_an_old_import_path_works_and_warns_with_the_new_name(module, name):
    with pytest.warns(DeprecationWarning, match=rf"{module}\.{name} will be removed in 0\.3: import \w+ from"):
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


def document(body, **more):
    return Document(DocumentRequest("list", **more), "https://a.example/list", {}, io.BytesIO(body))


def test_rows_that_were_not_read_are_told_under_the_old_name():
    with pytest.warns(DeprecationWarning, match=r"answers\.Unread will be .* import SkippedEntries from"):
        unread = importlib.import_module("manifests.answers").Unread(document(b""))
    unread.add("a row")
    with (
        pytest.warns(DeprecationWarning, match=r"Unread\.tell will be"),
        pytest.raises(DocumentError, match="a row"),
    ):
        unread.tell()


def test_elements_of_xml_are_read_under_the_old_names():
    old = importlib.import_module("manifests.xml")
    body = b"<list><file><name> a </name></file><file><name>b</name></file></list>"
    with pytest.warns(DeprecationWarning, match=r"xml\.parts will be .* import elements from"):
        found = list(old.parts(document(body), {"file"}))
    with pytest.warns(DeprecationWarning, match=r"xml\.Part\.says will be .* import XmlElement from"):
        assert [part.says("name") for part in found] == ["a", "b"]
    with pytest.warns(DeprecationWarning, match=r"xml\.events will be"):
        walked = list(old.events(document(body)))
    assert [(is_start, part.name) for is_start, part in walked] == [
        (is_start, part.name) for is_start, part in reader_api.events(document(body))
    ]
    with pytest.warns(DeprecationWarning, match=r"xml\.Part will be"):
        assert all(isinstance(part, old.Part) for part in [*found, *found[0].parts, *(part for _, part in walked)])


def test_the_reader_that_0_1_documented_still_reads_and_every_renamed_name_warns():
    module = types.ModuleType("syncd_tsv")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        exec(OLD_READER, module.__dict__)
        reader = module.READER.open(types.SimpleNamespace(url="https://a.example/", options=module.Options()))
        assert list(reader.start()) == [DocumentRequest("list.tsv")]
        rows = reader.read(document(b"b\t7\t" + b"0" * 64 + b"\nsub/\nbroken\n", state="a/"))
        assert next(rows) == Stat("a/b", 7, digests={"sha256": "0" * 64})
        assert next(rows) == DocumentRequest("a/sub/list.tsv", state="a/sub/")
        with pytest.raises(DocumentError, match="'broken' has not two values"):
            next(rows)
    assert {str(one.message).split(" will be")[0] for one in told if one.category is DeprecationWarning} >= {
        "manifests.answers.Unread",
        "manifests.answers.Unread.tell",
        "manifests.checked.STRICT",
        "manifests.document.Follow",
        "manifests.reader.Opened",
    }


def test_an_old_name_that_the_face_does_not_have_is_not_promised_there():
    with pytest.warns(DeprecationWarning, match=r"checked\.keys will be .*: it is not part of manifests\.reader_api"):
        importlib.import_module("manifests.checked").keys  # noqa: B018  the lookup is what is tried


def test_a_name_that_never_was_is_an_error_that_names_the_old_path():
    with pytest.raises(AttributeError, match=r"module 'manifests\.reader' has no attribute 'nothing'"):
        importlib.import_module("manifests.reader").nothing  # noqa: B018  the lookup is what is tried


def test_syncd_itself_uses_no_old_path():
    code = (
        "import sys, syncd.cli.app, manifests.model.mirror; print([m for m in sys.modules if m in set(sys.argv[1:])])"
    )
    done = subprocess.run([sys.executable, "-c", code, *OLD], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
