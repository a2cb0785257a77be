"""Tables of files as publishers write them: reports of ENA, manifests of GDC, indexes of 1000 Genomes, lists of PMC."""

import gzip
import tracemalloc

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from manifests.readers import table
from manifests.reading.document import Document, DocumentError, DocumentRequest, ReaderWarning
from manifests.stat import Stat
from tests.unit.reader_harness import Source, answer, survives

ROOT = "https://archive.example/set/"
MD5 = "6f4a8ac099c4fe85164b8631c7f0bd2b"
OTHER = "d41d8cd98f00b204e9800998ecf8427e"


def opened(name="t.tsv", **options):
    options = {"address": "file", **options}
    return table.open_reader(Source(ROOT, table.TableOptions(tables=(name,), **options)))


def read(body, name="t.tsv", **options):
    reader = opened(name, **options)
    (follow,) = reader.start()
    return list(reader.read(answer(follow, body, base=ROOT)))


def files(body, name="t.tsv", **options):
    return [one for one in read(body, name, **options) if isinstance(one, Stat) and one.path != name]


def test_a_report_of_ena_has_several_files_in_a_row():
    body = (
        "run_accession\tfastq_ftp\tfastq_md5\tfastq_bytes\n"
        f"ERR1\tftp.sra.ebi.ac.uk/vol1/a_1.gz;ftp.sra.ebi.ac.uk/vol1/a_2.gz\t{MD5};{OTHER}\t5;6\n"
        "ERR2\t\t\t\n"
    )
    options = {"address": "fastq_ftp", "size": "fastq_bytes", "checksums": ("fastq_md5",), "lists": ";"}
    place = {"strip": "ftp.sra.ebi.ac.uk/", "download": "https://ftp.sra.ebi.ac.uk/"}
    assert read(body, "filereport?accession=x", **options, **place) == [
        Stat("vol1/a_1.gz", 5, digests={"md5": MD5}, urls=("https://ftp.sra.ebi.ac.uk/vol1/a_1.gz",)),
        Stat("vol1/a_2.gz", 6, digests={"md5": OTHER}, urls=("https://ftp.sra.ebi.ac.uk/vol1/a_2.gz",)),
        ReaderWarning("rows without an address name no file"),
    ]


def test_lists_of_different_lengths_promise_nothing_of_files_that_they_may_not_mean():
    found = files(f"file\tmd5\tsize\na;b\t{MD5}\t5;6\n", lists=";", checksums=("md5",), size="size")
    assert found == [Stat("a", 5), Stat("b", 6)]


def test_a_manifest_of_gdc_names_files_by_patterns():
    body = f"id\tfilename\tmd5\tsize\tstate\nu-1\ta b.bam\t{MD5}\t7\tvalidated\n"
    options = {"address": "data/{id}", "path": "{id}/{filename}", "size": "size", "checksums": ("md5",)}
    assert read(body, "files?return_type=manifest", **options) == [
        Stat("u-1/a b.bam", 7, digests={"md5": MD5}, urls=(f"{ROOT}data/u-1",))
    ]
    assert files("file\turl\nx\thttps://h/d/y.nc?z=1\n", address="url", path="by/{file}/{name}") == [
        Stat("by/x/y.nc?z=1", urls=("https://h/d/y.nc?z=1",))
    ]


def test_the_header_of_1000_genomes_is_a_comment():
    body = f"##Date=20160304\n##ENA_FILE_PATH=path\n#ENA_FILE_PATH\tMD5SUM\tRUN\n# a comment\nx/y.gz\t{MD5}\tR\n"
    assert files(body, address="ENA_FILE_PATH", checksums=("MD5SUM",)) == [Stat("x/y.gz", digests={"md5": MD5})]


def test_a_list_of_pmc_has_quoted_fields_and_line_ends_in_them():
    body = (
        "\ufeffFile,Article Citation,Last Updated (YYYY-MM-DD HH:MM:SS)\r\n"
        'oa_package/08/a.tar.gz,"Breast, ""x""\r\n# y\r\n",2019-11-05 11:56:12\r\n'
    )
    (found,) = files(body, "oa.csv", address="File", modified="Last Updated (YYYY-MM-DD HH:MM:SS)")
    assert (found.path, found.modified) == ("oa_package/08/a.tar.gz", 1572954972.0)
    body = '2024-03-05 12:00:00\noa_package/08/a.tar.gz\tBreast "x\tPMC1\n'
    found = read(body, "oa.txt", columns=("file", "citation", "id"))
    assert found[:2] == [ReaderWarning("a first line that is no row was left out"), Stat("oa_package/08/a.tar.gz")]


def test_the_table_itself_is_a_file_if_it_lies_below_the_url():
    assert read("file\na\n")[-1].path == "t.tsv"
    assert [one.path for one in read("file\na\n", "https://other.example/t.tsv")] == ["a"]
    assert [one.path for one in read("file\na\n", "t?format=tsv")] == ["a"]


@pytest.mark.parametrize(
    ("name", "separator", "body"),
    [
        ("t.csv", "", "size,file\n4,a\n"),
        ("t.csv.gz", "", gzip.compress(b"size,file\n4,a\n", mtime=0)),
        ("t.tsv.gz", "", gzip.compress("file\tsize\na\t4\n".encode("utf-16"), mtime=0)),
        ("t.txt", "pipe", "file|size\na|4\n"),
        ("t.txt", "semicolon", 'file;size\n"a";4\n'),
    ],
)
def test_tables_come_in_many_forms(name, separator, body):
    assert files(body, name, separator=separator, size="size") == [Stat("a", 4)]


def test_rows_are_selected_by_their_columns():
    body = "file\tkind\tyear\na\tfile\t2020\nb\tdirectory\t2020\nc\tfile\t1999\n"
    assert [one.path for one in files(body, where={"kind": ("file",), "year": ("20*",)})] == ["a"]


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    ("body", "name", "why"),
    [
        ("id\tpath\n1\tx\n", "t.tsv", "has no column 'file'; its columns are id, path"),
        ("# comment\nx\ty\n", "t.tsv", "its columns are x, y"),
        ("", "t.tsv", "an empty response is not a table"),
        ("<!DOCTYPE html><html><body>log in</body></html>\n", "t.tsv", "a web page"),
        ("file\na\nb", "t.tsv", "the last line has no line end"),
        ("size\tfile\n1\ta\n2\n", "t.tsv", "line 3 has 1 column, the header 2"),
        ("file\tsize\na\t1\t2\n", "t.tsv", "line 2 has 3 columns, the header 2"),
        ('file,x\na,"b\n', "t.csv", "line 2"),
        (gzip.compress(b"file\na\n", mtime=0)[:-3], "t.tsv.gz", "cannot be unpacked"),
    ],
)
def test_what_is_missing_is_told_with_what_there_is(body, name, why):
    with pytest.raises(DocumentError, match=why):
        read(body, name)


def test_a_table_without_a_last_line_end_is_whole_where_the_manifest_says_so():
    assert [one.path for one in files("file\na\nb", unterminated=True)] == ["a", "b"]


def test_a_name_in_another_encoding_is_read_in_it():
    reader = table.TableReader(ROOT, table.TableOptions(tables=("t.tsv",), address="file"), "gb18030")
    (follow,) = reader.start()
    (found, _) = reader.read(answer(follow, "file\n降\n".encode("gb18030"), base=ROOT))
    assert (found.path, found.urls) == ("降", (f"{ROOT}%BD%B5", f"{ROOT}%E9%99%8D"))


@pytest.mark.parametrize(
    ("column", "algorithm"),
    [("fastq_md5", "md5"), ("MD5SUM", "md5"), ("md5", "md5"), ("checksum", "md5"), ("file hash", "md5")],
)
def test_the_algorithm_is_in_the_name_of_the_column_or_follows_from_the_length(column, algorithm):
    assert files(f"file\t{column}\na\t{MD5}\n", checksums=(column,))[0].digests == {algorithm: MD5}


@pytest.mark.parametrize("given", [{"tables": ()}, {"tables": ("../t",)}, {"tables": ("ftp://h/t",)}, {"lists": "::"}])
def test_options_that_cannot_be_are_refused(given):
    with pytest.raises(ValidationError):
        table.TableOptions(**{"tables": ("t",), "address": "x", **given})


def test_a_long_table_is_never_whole_in_memory():
    class Endless:
        """Rows that are made as they are read."""

        at = 0

        def readline(self, limit):
            self.at += 1
            return b"file\tsize\n" if self.at == 1 else b"%d\t5\n" % self.at if self.at < 20_000 else b""

        def read(self, size=-1):
            return b""

        def seek(self, *_):
            return 0

        tell = seek

    reader = opened("https://h/t.tsv", size="size")
    document = Document(DocumentRequest("x", state="https://h/t.tsv"), "https://h/t.tsv", {}, Endless())  # type: ignore[arg-type]  # a stream
    tracemalloc.start()
    count = sum(1 for _ in reader.read(document))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 19_998
    assert most < 2 << 20


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1), st.integers(0, 1 << 40)
        ),
        unique_by=lambda row: row[0],
    )
)
def test_what_is_written_in_csv_is_read_again(rows):
    quoted = "".join(
        '"{}",{}\n'.format(name.replace('"', '""'), size)
        for name, size in rows
        if "#" not in name and "://" not in name
    )
    found = files(f"file,size\n{quoted}", "t.csv", size="size")
    expected = [(name.removeprefix("./"), size) for name, size in rows if "#" not in name and "://" not in name]
    assert [(one.path, one.size) for one in found] == expected


@given(st.binary(max_size=300), st.sampled_from(["t.tsv", "t.csv", "t.tsv.gz"]))
def test_any_bytes_are_a_table_or_an_error(body, name):
    reader = opened(name, size="size")
    (follow,) = reader.start()
    survives(reader, follow, b"file\tsize\n" + body if len(body) % 3 else body, base=ROOT)
