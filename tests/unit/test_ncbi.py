"""NCBI's summaries and lists: rows chosen by their columns, files with their MD5, single files with their sidecar."""

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from manifests.readers.ncbi import NcbiOptions, open_reader
from manifests.reading.document import DocumentError
from manifests.stat import Stat
from tests.unit.reader_harness import Source, answer, broken, follows, read_all, stats, survives

SUMMARY = "genomes/refseq/viral/assembly_summary.txt"
COLUMNS = (
    "#assembly_accession",
    "bioproject",
    "refseq_category",
    "version_status",
    "organism_name",
    "seq_rel_date",
    "ftp_path",
    "pubmed_id",
)
MD5 = "1d74549ecdc78c5c47d882eb82986400"


def row(accession, category="na", status="latest", name="Phage \"x' é", path=None):
    folder = f"https://ftp.ncbi.nlm.nih.gov/genomes/all/GCF/{accession[4:7]}/{accession}_ASM1"
    return "\t".join(
        (accession, "PRJNA1", category, status, name, "2020/01/02", folder if path is None else path, "na")
    )


TABLE = "\n".join(
    (
        "##  See ftp://ftp.ncbi.nlm.nih.gov/genomes/README_assembly_summary.txt for a description of the columns in this file.",
        "\t".join(COLUMNS),
        row("GCF_000009605.1", "reference genome"),
        row("GCF_000009606.1", status="replaced"),
        row("GCF_000009607.1", path="na"),
        row("GCF_000009608.1", path="ftp://ftp.ncbi.nlm.nih.gov/genomes/all/GCF/000/GCF_000009608.1_ASM1/"),
        "",
    )
)
OLD = TABLE.replace("#assembly_accession", "# assembly_accession").replace("##  See", "#   See")
LIST = f"""{MD5}  ./GCF_000009605.1_ASM1_assembly_report.txt
{MD5}  ./GCF_000009605.1_ASM1_genomic.fna.gz
{MD5}  ./GCF_000009605.1_ASM1_assembly_structure/Primary_Assembly/chr1.fna.gz
{MD5}  ./annotation_hashes.txt
"""


def reader(url="https://ftp.ncbi.nlm.nih.gov/", **options):
    return open_reader(Source(url, NcbiOptions(**({"summaries": (SUMMARY,)} | options))))


def asked(body, **options):
    chosen = reader(**options)
    return [follow.url for follow in follows(chosen.read(answer(next(iter(chosen.start())), body)))]


@pytest.mark.parametrize("table", [TABLE, OLD, TABLE.replace("\n", "\r\n")], ids=["new", "old", "crlf"])
def test_each_row_with_a_folder_names_the_list_of_its_files(table):
    assert asked(table) == [
        "genomes/all/GCF/000/GCF_000009605.1_ASM1/md5checksums.txt",
        "genomes/all/GCF/000/GCF_000009606.1_ASM1/md5checksums.txt",
        "genomes/all/GCF/000/GCF_000009608.1_ASM1/md5checksums.txt",
    ]


def test_rows_are_chosen_by_their_columns():
    assert len(asked(TABLE, where={"version_status": ("latest",)})) == 2
    assert len(asked(TABLE, where={"version_status": ("latest",), "refseq_category": ("ref*", "repr*")})) == 1
    assert asked(TABLE, where={"assembly_accession": ("GCF_000009606.?",)})[0].endswith("9606.1_ASM1/md5checksums.txt")


def test_a_column_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(DocumentError, match="has no column 'version_staus'; it has assembly_accession, bioproject"):
        asked(TABLE, where={"version_staus": ("latest",)})


def test_a_source_that_begins_deeper_asks_below_itself():
    assert asked(TABLE, url="https://mirror.example/genomes/")[0] == "all/GCF/000/GCF_000009605.1_ASM1/md5checksums.txt"


def test_bytes_that_are_no_text_and_stray_quotes_are_part_of_a_column():
    assert len(asked(TABLE.encode().replace("é".encode(), b"\xe9\xff"))) == 3


def test_a_row_that_is_cut_off_is_told_after_all_others():
    chosen = reader()
    follow = next(iter(chosen.start()))
    assert len(follows(survives(chosen, follow, TABLE[:-20]))) == 2
    with pytest.raises(DocumentError, match=r"line 6 has \d columns, the header 8"):
        list(chosen.read(answer(follow, TABLE[: TABLE.rindex("\t")] + "\n")))


@pytest.mark.parametrize(
    "path", ["https://x/../../y", "https://x/a/../b", "javascript:x", "https://x/a b", "https://x/"]
)
def test_a_folder_outside_the_archive_is_told(path):
    chosen = reader()
    with pytest.raises(DocumentError, match="does not name a folder of the archive"):
        list(chosen.read(answer(next(iter(chosen.start())), TABLE + row("GCF_1", path=path) + "\n")))


@pytest.mark.parametrize("body", ["", "<html><title>x</title></html>", "GCF_1\tx\n", "# only comments\n"])
def test_what_is_no_summary_is_said(body):
    with pytest.raises(DocumentError, match="not an assembly summary"):
        asked(body)


def test_files_of_an_assembly_come_with_their_md5_and_what_changes_later_without():
    folder = "genomes/all/GCF/000/GCF_000009605.1_ASM1"
    table = "\n".join(TABLE.split("\n")[:3]) + "\n"
    documents = {SUMMARY: table, f"{folder}/md5checksums.txt": LIST}
    found = stats(read_all(reader(), documents))
    assert found[f"{folder}/GCF_000009605.1_ASM1_genomic.fna.gz"].digests == {"md5": MD5}
    assert found[f"{folder}/annotation_hashes.txt"] == Stat(f"{folder}/annotation_hashes.txt")
    assert found[f"{folder}/md5checksums.txt"].size == len(LIST)
    assert found[SUMMARY].version.startswith("sha256:")
    assert len(found) == 6
    chosen = stats(read_all(reader(files=("*_genomic.fna.gz", "!*_cds_*")), documents))
    assert sorted(path.rpartition("/")[2] for path in chosen) == [
        "GCF_000009605.1_ASM1_genomic.fna.gz",
        "assembly_summary.txt",
        "md5checksums.txt",
    ]


@pytest.mark.parametrize(
    ("single", "sidecar"),
    [
        ("pub/taxonomy/taxdump.tar.gz", f"{MD5}  taxdump.tar.gz\n"),
        ("pubmed/baseline/pubmed22n0002.xml.gz", "MD5(pubmed22n0002.xml.gz)= 246e75874963b153bfd517320f4e891e\n"),
    ],
)
def test_a_single_file_is_promised_by_its_sidecar(single, sidecar):
    found = stats(read_all(reader(summaries=(), singles=(single,)), {f"{single}.md5": sidecar}))
    assert list(found) == [single, f"{single}.md5"]
    assert found[single].digests["md5"] in sidecar


def test_a_sidecar_of_another_file_is_told():
    with pytest.raises(DocumentError, match=r"names 'a/other\.gz'"):
        read_all(reader(summaries=(), singles=("a/b.gz",)), {"a/b.gz.md5": f"{MD5}  other.gz\n"})


def test_a_manifest_that_names_nothing_is_told_what_to_name():
    with pytest.raises(ValidationError, match="name summaries, or singles"):
        NcbiOptions()


@settings(max_examples=40)
@given(broken(TABLE.encode()))
def test_a_broken_summary_is_a_document_error(body):
    chosen = reader(where={"version_status": ("latest",)})
    for one in survives(chosen, next(iter(chosen.start())), body):
        assert one.__class__ is Stat or one.url.endswith("/md5checksums.txt")


@settings(max_examples=40)
@given(broken(LIST))
def test_a_broken_list_is_a_document_error(body):
    chosen = reader()
    follow = follows(chosen.read(answer(next(iter(chosen.start())), TABLE)))[0]
    for one in survives(chosen, follow, body):
        assert not isinstance(one, Stat) or set(one.digests) <= {"md5"}
