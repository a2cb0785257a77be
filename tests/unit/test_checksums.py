"""Checksum lists in every form that publishers write them in."""

import base64
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from manifests.digest import KNOWN
from manifests.readers.checksum_lines import ChecksumLine, parse_checksums
from manifests.readers.checksums import ChecksumsOptions, ChecksumsReader, open_reader
from manifests.reading.document import Document, DocumentError, DocumentRequest, ReaderWarning
from manifests.stat import Stat, UnsafePath, check_path

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@dataclass(frozen=True)
class Source:
    checksums: tuple[str, ...]
    url: str = "https://archive.example/files/"

    @property
    def options(self):
        return ChecksumsOptions(checksums=self.checksums)


def parse(text: str | bytes, name: str = "CHECKSUMS") -> list[tuple[str, str, str]]:
    body = text.encode() if isinstance(text, str) else text
    lines = body.split(b"\n")
    return [(line.name, line.algorithm, line.digest) for line in parse_checksums(lines, name=name)]


def read(text: str | bytes, path: str = "SHA256SUMS") -> list[Stat]:
    body = text.encode() if isinstance(text, str) else text
    reader = open_reader(Source((path,)))
    (follow,) = reader.start()
    found = list(reader.read(Document(follow, "https://archive.example/files/" + path, {}, io.BytesIO(body))))
    assert all(isinstance(each, Stat) for each in found)
    return [each for each in found if isinstance(each, Stat)]


# The forms


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (f"{MD5}  f", "f"),
        (f"{MD5} *f", "f"),
        (f"{MD5} f", "f"),
        (f"{MD5}\tf", "f"),
        (f"  {MD5}  f", "f"),
        (f"{MD5.upper()}  f", "f"),
        (f"{MD5}   f", " f"),
        (f"\\{MD5}  .\\nfoo", ".\nfoo"),
        (f"\\{MD5}  a\\\\b\\r", "a\\b\r"),
        (f"{MD5}  a\\nb", "a\\nb"),
        (f"MD5 (f) = {MD5}", "f"),
        (f"\\MD5 (a\\nb) = {MD5}", "a\nb"),
        (f"MD5(f)= {MD5}", "f"),
        (f"MD5(name)= {MD5}", "name"),
        (f"MD5 (a (1) = b) = {MD5}", "a (1) = b"),
        ("MD5 (f) = 1B2M2Y8AsgTpgAmY7PhCfg==", "f"),
        ("1B2M2Y8AsgTpgAmY7PhCfg==  f", "f"),
        (f"{MD5}  100%25.tif", "100%25.tif"),
        (f"{MD5}  f\r", "f"),
        (f"\ufeff{MD5}  f", "f"),
        (f"{MD5}  été/数据.nc", "été/数据.nc"),
    ],
)
def test_every_form_says_the_same(line, name):
    assert parse(line) == [(name, "md5", MD5)]


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def escaped(name: str) -> tuple[str, str]:
    for character, escape in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r")):
        name = name.replace(character, escape)
    return ("\\" if "\\" in name else ""), name


forms = {
    "text": lambda algorithm, name, digest: f"{escaped(name)[0]}{digest}  {escaped(name)[1]}",
    "binary": lambda algorithm, name, digest: f"{escaped(name)[0]}{digest.upper()} *{escaped(name)[1]}",
    "tag": lambda algorithm, name, digest: f"{escaped(name)[0]}{algorithm.upper()} ({escaped(name)[1]}) = {digest}",
    "openssl": lambda algorithm, name, digest: f"{escaped(name)[0]}{algorithm.upper()}({escaped(name)[1]})= {digest}",
    "base64": lambda algorithm, name, digest: (
        f"{escaped(name)[0]}{algorithm} ({escaped(name)[1]}) = {base64.b64encode(bytes.fromhex(digest)).decode()}"
    ),
}


@given(
    st.sampled_from(sorted(forms)),
    st.sampled_from(sorted(KNOWN)),
    st.lists(st.tuples(names, st.binary(min_size=64, max_size=64)), min_size=1, max_size=8),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_written_in_a_form_is_read_back(form, algorithm, files, end):
    wanted = [(name, algorithm, digest[: KNOWN[algorithm]].hex()) for name, digest in files]
    text = end.join(forms[form](algorithm, name, digest) for name, _, digest in wanted)
    assert parse(text, f"{algorithm.upper()}SUMS") == wanted


@given(
    st.lists(
        st.tuples(
            names.filter(lambda name: name[0] not in " *" and not {"\n", "\r", "\\"} & set(name)),
            st.binary(min_size=32, max_size=32),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_written_with_one_space_is_read_back(files):
    wanted = [(name, "sha256", digest.hex()) for name, digest in files]
    assert parse("\n".join(f"{digest} {name}" for name, _, digest in wanted), "SHA256SUMS.txt") == wanted


@given(st.lists(st.binary(max_size=80), max_size=12), st.sampled_from(["CHECKSUMS", "a.md5", "B2SUMS", "x.b3"]))
def test_any_bytes_are_lines_or_a_document_error(lines, name):
    found = []
    try:
        found.extend(parse_checksums(lines, name=name))
    except DocumentError:
        assert len(found) < 1 + len(lines) // 2
    assert all(line.algorithm == "" or len(line.digest) == 2 * KNOWN[line.algorithm] for line in found)


def test_the_first_line_with_one_space_fixes_the_whole_list():
    assert parse(f"{SHA256} 100.dat\n{SHA256}  lead.dat\n{SHA256} *star.dat") == [
        ("100.dat", "sha256", SHA256),
        (" lead.dat", "sha256", SHA256),
        ("*star.dat", "sha256", SHA256),
    ]


def test_a_line_with_one_space_is_passed_over_in_a_list_with_two():
    assert parse(f"{SHA256}  a\n{SHA256} *b\n{SHA256} c\n") == [("a", "sha256", SHA256), ("b", "sha256", SHA256)]


def test_a_list_that_began_in_another_form_than_most_of_it_is_refused_and_not_half_read():
    with pytest.raises(DocumentError, match="CHECKSUMS: 2 lines have one space before the name and 1 have two"):
        parse(f"{SHA256}  ambiguous\n{SHA256} b\n{SHA256} c")


def test_comments_blank_lines_and_junk_are_passed_over():
    text = f"# SHA256 (no) = {SHA256}\n\n   \n; sums follow\n{SHA256}  a\r\nTotal: 2 files\n\\{SHA256}  bad\\q\n{SHA256}  b"
    assert [name for name, _, _ in parse(text)] == ["a", "b"]


def test_pgp_armour_is_passed_over():
    text = (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n"
        f"{MD5}  header\n\n# scene-1.iso: 17 bytes\nSHA256 (scene-1.iso) = {SHA256}\n- -----not armour\n{SHA256}  b\n"
        f"-----BEGIN PGP SIGNATURE-----\n\niQIzBAEB\n{MD5}  signature\n=Ab3d\n-----END PGP SIGNATURE-----\n"
    )
    assert [name for name, _, _ in parse(text)] == ["scene-1.iso", "b"]


def test_the_openssl_sidecar_of_pubmed_is_read():
    assert parse(f"MD5(pubmed24n0001.xml.gz)= {MD5}\n", "baseline/pubmed24n0001.xml.gz.md5") == [
        ("pubmed24n0001.xml.gz", "md5", MD5)
    ]


# Which algorithm


@pytest.mark.parametrize(
    ("name", "digits", "algorithm"),
    [
        ("CHECKSUMS", 32, "md5"),
        ("CHECKSUMS", 40, "sha1"),
        ("CHECKSUMS", 56, "sha224"),
        ("CHECKSUMS", 64, "sha256"),
        ("CHECKSUMS", 96, "sha384"),
        ("CHECKSUMS", 128, "sha512"),
        ("B2SUMS", 128, "blake2b-512"),
        ("B2SUMS", 64, "blake2b-256"),
        ("SHA3-256SUMS", 64, "sha3-256"),
        ("sha3sums.txt", 64, "sha3-256"),
        ("manifest-sha3-512.txt", 128, "sha3-512"),
        ("manifest-sha256.txt", 64, "sha256"),
        ("md5checksums.txt", 32, "md5"),
        ("XXH128SUMS", 32, "xxh3-128"),
        ("a/b.crc32", 8, "crc32"),
        ("SHA256SUMS.md5", 32, "md5"),
        ("MD5SUMS", 64, "sha256"),
        ("x.sha", 64, "sha256"),
        ("band_b2.txt", 64, "sha256"),
        ("x.b3", 64, "blake3"),
        ("BLAKE3SUMS", 64, "blake3"),
        ("SM3SUMS", 64, ""),
    ],
)
def test_the_list_s_name_decides_and_then_the_length(name, digits, algorithm):
    digest = "a" * digits
    assert parse(f"{digest}  f", name) == [("f", algorithm, digest if algorithm else "")]


def test_a_tag_beats_the_name_of_the_list():
    assert parse(f"SHA3-256 (f) = {SHA256}", "SHA256SUMS") == [("f", "sha3-256", SHA256)]
    assert parse(f"SHA2-256(f)= {SHA256}", "MD5SUMS") == [("f", "sha256", SHA256)]


def test_a_file_with_a_digest_we_cannot_check_is_still_there():
    assert read(f"SM3 (f) = {SHA256}\nSHA512/256 (g) = {SHA256}")[:2] == [
        Stat("f"),
        Stat("g", digests={"sha512-256": SHA256}),
    ]


def test_a_tag_that_the_digest_s_length_belies_is_not_believed():
    assert parse(f"SHA256 (f) = {MD5}\nMD5 (g) = {MD5}\nCRC32 (h) = {MD5}") == [("f", "md5", MD5), ("g", "md5", MD5)]


# Sidecars


@pytest.mark.parametrize(
    "text", [MD5, f"{MD5}\n", f"{MD5.upper()}\r\n", f"{MD5}  -\n", f"MD5(stdin)= {MD5}", f"{MD5}  /build/out/scene.tif"]
)
@pytest.mark.parametrize("name", ["a/scene.tif.md5", "a/scene.tif.md5sum", "a/scene.tif.md5.txt", "a/scene.tif.MD5"])
def test_a_sidecar_speaks_of_its_own_file(text, name):
    assert parse(text, name) == [("scene.tif", "md5", MD5)]


def test_a_digest_alone_is_no_line_of_a_list_that_is_no_sidecar():
    with pytest.raises(DocumentError, match="SHA256SUMS: contains no checksum line"):
        parse(SHA256, "SHA256SUMS")


# Names


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("f", "sub/f"),
        ("./f", "sub/f"),
        ("./a/./b//c", "sub/a/b/c"),
        ("../f", "f"),
        ("a/../b", "sub/b"),
        (".hidden", "sub/.hidden"),
        ("a./b", "sub/a./b"),
        ("a%2Fb", "sub/a%2Fb"),
        (" f ", "sub/ f "),
    ],
)
def test_names_are_relative_to_the_list_s_own_folder(name, path):
    assert read(f"{SHA256}  {name}\n", "sub/SHA256SUMS")[0].path == path
    assert check_path(path)


@pytest.mark.parametrize(
    "name",
    ["../../f", "/etc/passwd", "./../../f", "..", "a/../../../f", "//host/f", "a\x00b", "dir/", ".", "\ud800"],
)
def test_a_name_that_leaves_the_source_comes_out_to_be_refused(name):
    line = f"{SHA256}  {name}\n".encode("utf-8", "surrogatepass")
    (stat, _) = read(line, "sub/SHA256SUMS")
    with pytest.raises(UnsafePath):
        check_path(stat.path)


def read_in(body: bytes, encoding: str = "utf-8", path: str = "SHA256SUMS") -> list[Stat]:
    reader = ChecksumsReader([path], root="https://archive.example/files/", encoding=encoding)
    (follow,) = reader.start()
    found = reader.read(Document(follow, "https://archive.example/files/" + path, {}, io.BytesIO(body)))
    return [each for each in found if isinstance(each, Stat)][:-1]


def paths_in(body: str, encoding: str = "utf-8", declared: str = "utf-8") -> list[str]:
    return [stat.path for stat in read_in(body.encode(encoding), declared)]


# Lists of Windows


def test_backslashes_are_separators_where_every_line_agrees():
    assert paths_in(f"{SHA256}  a\\b.nc\n{SHA256} *.\\c\\d.nc\n{SHA256}  e.nc\n") == ["a/b.nc", "c/d.nc", "e.nc"]
    assert paths_in(f"{SHA256}  a\\b.nc\n{SHA256}  a/c.nc\n") == ["a\\b.nc", "a/c.nc"]
    assert paths_in(f"\\{SHA256}  a\\\\b.nc\n{SHA256}  c.nc\n") == ["a\\b.nc", "c.nc"]
    assert paths_in(f"{SHA256}  C:\\a\\b.nc\n") == ["C:\\a\\b.nc"]
    assert paths_in(f"SHA256 (a\\b.nc) = {SHA256}\n") == ["a/b.nc"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_list_in_utf_16_is_recognised_by_its_mark(encoding, end):
    mark = "" if encoding == "utf-16" else "\ufeff"
    assert paths_in(f"{SHA256}  a/降水.nc{end}", encoding) == ["a/降水.nc"]  # most have a mark, some have none
    body = f"{mark}{SHA256}  a\\降水.nc{end}{SHA256}  é 𝄞.nc{end}"
    assert paths_in(body, encoding) == ["a/降水.nc", "é 𝄞.nc"]
    whole = body.encode(encoding)
    with pytest.raises(DocumentError, match="may be cut"):
        list(
            ChecksumsReader(["SHA256SUMS"]).read(
                Document(DocumentRequest("x", state="SHA256SUMS"), "x", {}, io.BytesIO(whole[:-12]))
            )
        )


@given(
    st.lists(
        st.text(
            st.characters(codec="utf-8", exclude_characters="\n\r\\/", exclude_categories=("Cc", "Cs", "Z")), min_size=1
        ),
        min_size=1,
    ),
    st.sampled_from(["utf-16", "utf-8-sig"]),
)
def test_the_encoding_of_a_list_does_not_change_what_it_says(names, encoding):
    body = "".join(f"{SHA256}  {name}\n" for name in names)
    assert read_in(body.encode(encoding)) == read_in(body.encode())


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "shift_jis", "euc_kr", "latin-1"])
def test_a_list_in_the_encoding_that_the_manifest_names_is_read_in_it(encoding):
    name = {"latin-1": "café.nc", "euc_kr": "강수.nc"}.get(encoding, "表.nc")
    body = f"{SHA256}  {name}\n{SHA256}  sub/x\n".encode(encoding)
    found = read_in(body, encoding)
    assert [stat.path for stat in found] == [name, "sub/x"]
    # the server may know the name by these bytes, or in UTF-8
    assert found[0].urls == tuple(
        f"https://archive.example/files/{quote(raw)}" for raw in (name.encode(encoding), name.encode())
    )
    assert found[1].urls == ()
    refused = read_in(body)[0].path
    with pytest.raises(UnsafePath, match=r"source\.encoding"):
        check_path(refused)


# Sizes


@pytest.mark.parametrize(
    "body",
    [
        f"{MD5}      1234 a.nc\n{MD5}        56 sub/b.nc\n",
        f" {MD5} 1234 a.nc\n {MD5}   56 sub/b.nc\n",
        f"MD5Sum:\n {MD5}  1234  a.nc\n {MD5}  56  sub/b.nc\n",
        f"{MD5}\t1234\ta.nc\n{MD5}\t56\tsub/b.nc\n",
        f"{MD5}  1234 a.nc\n{MD5}  56 sub/b.nc\n",
        f"# comment\n{MD5} 1234 *a.nc\r\n{MD5} 56 *sub/b.nc\r\n",
    ],
)
def test_a_size_between_checksum_and_name_is_no_part_of_the_name(body):
    assert [(stat.path, stat.size, stat.digests) for stat in read_in(body.encode(), path="md5.txt")] == [
        ("a.nc", 1234, {"md5": MD5}),
        ("sub/b.nc", 56, {"md5": MD5}),
    ]


@pytest.mark.parametrize(
    "names",
    [["01 a.mp3", "02 b.mp3"], ["20240101 a.nc", "20240102 b.nc"], ["1 a", "b"], ["1 a", "12 b"], ["10 x", "11 y"]],
)
def test_a_number_that_begins_names_is_no_size(names):
    body = "".join(f"{MD5}  {name}\n" for name in names)
    assert [(stat.path, stat.size) for stat in read_in(body.encode(), path="md5.txt")] == [
        (name, None) for name in names
    ]


def test_a_name_that_is_no_utf_8_comes_out_to_be_refused():
    (stat, _) = read(SHA256.encode() + b"  caf\xe9.txt\n")
    with pytest.raises(UnsafePath):
        check_path(stat.path)


# Documents that are no lists


@pytest.mark.parametrize(
    "page",
    [
        "<!DOCTYPE html><html><title>Earthdata Login</title></html>",
        "\n\n  <html>\n",
        "\ufeff<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
        "<html>" + "x" * 2_000_000,
    ],
)
def test_a_login_page_says_so_in_a_steward_s_words(page):
    with pytest.raises(
        DocumentError, match=r"^SHA256SUMS: looks like a web page \(a login page\?\), not a checksum list$"
    ):
        read(page)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no file"),
        ("\n\n", "names no file"),
        ("# only a comment", "names no file"),
        ("nothing here\n", r"contains no checksum line \(1 other lines\)"),
        ('{"error": "no"}', "contains no checksum line"),
        (f"{MD5[:-1]}  short", "contains no checksum line"),
    ],
)
def test_a_list_without_one_good_line_is_refused(text, says):
    with pytest.raises(DocumentError, match=rf"^SHA256SUMS: {says}"):
        read(text)


# The reader


def test_the_reader_asks_for_every_list_once():
    reader = open_reader(Source(("SHA256SUMS", "sub dir/MD5SUMS", "SHA256SUMS")))
    assert not reader.native
    assert [follow.url for follow in reader.start()] == ["SHA256SUMS", "sub dir/MD5SUMS"]


def test_the_list_itself_is_a_file_of_the_mirror_and_is_promised_nothing():
    body = f"{SHA256}  a\n{SHA256}  SHA256SUMS\n{SHA256}  sub/b\n".encode()
    assert read(body) == [
        Stat("a", digests={"sha256": SHA256}),
        Stat("sub/b", digests={"sha256": SHA256}),
        Stat("SHA256SUMS", size=len(body), version=f"sha256:{hashlib.sha256(body).hexdigest()}"),
    ]


def test_a_list_that_is_no_list_is_no_file_of_the_mirror():
    reader = open_reader(Source(("SHA256SUMS",)))
    (follow,) = reader.start()
    found = reader.read(Document(follow, "https://archive.example/files/SHA256SUMS", {}, io.BytesIO(b"nothing\n")))
    with pytest.raises(DocumentError):
        next(found)


@pytest.mark.parametrize("checksums", [(), ("**/SHA256SUMS",), ("*.md5",), ("../SHA256SUMS",), ("/SHA256SUMS",), ("",)])
def test_lists_that_cannot_be_asked_for_are_refused_when_the_reader_is_opened(checksums):
    with pytest.raises(ValueError):
        open_reader(Source(checksums))


def test_a_list_is_read_as_it_comes_and_never_gathered():
    def endless() -> Iterator[bytes]:
        while True:
            yield f"{SHA256}  a".encode()

    lines = parse_checksums(endless(), name="SHA256SUMS")
    assert [next(lines) for _ in range(3)] == [ChecksumLine("a", "sha256", SHA256)] * 3


# Completeness


def read_partly(text: str | bytes, path: str = "SHA256SUMS", *, unterminated: bool = False, **more: bool):
    """The files that a list names, the notes, and why it is not complete, "" if it is."""
    body = text.encode() if isinstance(text, str) else text
    reader = ChecksumsReader((path,), unterminated=unterminated)
    (follow,) = reader.start()
    found: list[object] = []
    why = ""
    try:
        for one in reader.read(Document(follow, f"https://archive.example/{path}", {}, io.BytesIO(body), **more)):
            found.append(one)
    except DocumentError as error:
        why = str(error)
    names = [one.path for one in found if isinstance(one, Stat) and one.path != path]
    return names, [one for one in found if isinstance(one, ReaderWarning)], why


@pytest.mark.promise("P4")
@pytest.mark.parametrize(
    ("whole", "path"),
    [
        (f"{SHA256}  a.nc\n{SHA256}  b.nc\n", "SHA256SUMS"),
        (f"{SHA256} a.nc\r\n{SHA256} b.nc\r\n", "SHA256SUMS"),
        (f"SHA256 (a.nc) = {SHA256}\nSHA256 (b.nc) = {SHA256}\n", "CHECKSUM"),
        (f"{SHA256}  a.nc\n", "a.nc.sha256"),
        (f"{SHA256}", "a.nc.sha256"),
        (f"# sums\n{MD5} *a.nc\n\n{MD5} *b.nc\n", "MD5SUMS"),
    ],
)
def test_a_list_that_is_cut_within_a_line_is_incomplete(whole, path):
    names, _, why = read_partly(whole, path)
    assert why == ""
    for at in range(len(whole)):
        if not whole[:at].endswith(("\n", "\r")) and whole[at] not in "\r\n":
            found, _, why = read_partly(whole[:at], path)
            assert why or found == names, whole[:at]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f"{MD5}", "scene.tif.md5"),
        (f"{MD5}  scene.tif", "scene.tif.md5"),
        (f"{MD5} */build/scene.tif", "scene.tif.md5"),
        (f"MD5(scene.tif)= {MD5}", "scene.tif.md5"),
        (f"SHA256 (a) = {SHA256}\nSHA256 (b) = {SHA256}", "CHECKSUM"),
    ],
)
def test_a_last_line_without_a_line_end_is_complete_if_nothing_can_follow_it(text, path):
    assert read_partly(text, path)[2] == ""
    assert read_partly(text, path, is_bounded=False)[2] == ""


def test_a_list_whose_last_line_has_no_line_end_is_complete_if_the_steward_says_so():
    text = f"{SHA256}  a\n{SHA256}  b"
    assert read_partly(text)[0] == ["a", "b"]
    assert "the last line has no line end" in read_partly(text)[2]
    assert read_partly(text, unterminated=True)[2] == ""
    assert ChecksumsOptions(checksums=("SHA256SUMS",), unterminated=True).unterminated


def test_a_shorter_digest_in_a_sidecar_of_another_algorithm_is_a_cut_one():
    assert "no line end" in read_partly("ab" * 32, "scene.tif.sha512")[2]


@pytest.mark.promise("P4")
@pytest.mark.parametrize(
    "line",
    [
        f"{SHA256[:50]}  b",
        f"{SHA256} b",  # one space, in a list with two: is it `b` or ` b`?
        f"\\{SHA256}  b\\q",
        f"SHA256 (b) = {SHA256[:50]}",
        f"{SHA256}0  b",
    ],
)
def test_a_line_that_looks_like_a_checksum_and_is_not_valid_makes_the_list_incomplete(line):
    names, notes, why = read_partly(f"{SHA256}  a\n{line}\n{SHA256}  c\n")
    assert (names, notes) == (["a", "c"], [])
    assert "a line that looks like a checksum is not valid" in why


def test_lines_that_are_no_checksums_are_counted_and_told():
    names, notes, why = read_partly(f"Checksums of release 2\n======\n{SHA256}  a\nTotal (files) = 1\n")
    assert (names, why) == (["a"], "")
    assert notes == [ReaderWarning("lines that are no checksums were skipped", 3)]


def test_a_signed_list_without_the_end_of_its_signature_is_incomplete():
    begin, body = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n", f"{SHA256}  a\n{SHA256}  b\n"
    end = "-----BEGIN PGP SIGNATURE-----\n\niQEz\n-----END PGP SIGNATURE-----"
    assert read_partly(begin + body + end)[2] == ""
    for cut in (begin + body, begin + body + end[:40] + "\n"):
        assert "signed, and ends before the end of its signature" in read_partly(cut)[2]


def test_a_list_in_a_response_without_a_length_is_incomplete():
    assert "nothing announced the length" in read_partly(f"{SHA256}  a\n", is_bounded=False)[2]
