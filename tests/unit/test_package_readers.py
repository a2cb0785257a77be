"""Descriptions that travel with the files: Data Packages, Croissant, RO-Crates, hashdeep's lists."""

import json

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from manifests.readers import croissant, datapackage, hashdeep, ro_crate
from manifests.reading.document import DocumentError
from manifests.reading.url_paths import placed
from manifests.stat import Stat, UnsafePath, check_path
from tests.unit.reader_harness import Source, answer, broken, read_all, stats, survives

ROOT = "https://archive.example/set/"
MD5 = "6f4a8ac099c4fe85164b8631c7f0bd2b"
SHA256 = "5262f12512590031bbcc9a430452bfd75c2791ad6771320bb4b5728bfb78c4d0"


def opened(module, **options):
    return module.open_reader(Source(ROOT, module.READER.options(**options)))


def read(module, body, **options):
    reader = opened(module, **options)
    (follow,) = reader.start()
    body = body if isinstance(body, str | bytes) else json.dumps(body)
    return list(reader.read(answer(follow, body, base=ROOT)))


# Places


@pytest.mark.parametrize(
    ("url", "path", "urls"),
    [
        (f"{ROOT}a/b.nc", "a/b.nc", False),
        (f"{ROOT}a%20b%2523.nc", "a b%23.nc", False),
        (f"{ROOT}a%2Fb", "a%2Fb", True),
        (f"{ROOT}get?id=7", "get?id=7", True),
        (f"{ROOT}a.nc#part", "a.nc", False),
        ("https://other.example/x/y.nc", "other.example/x/y.nc", True),
        ("http://Other.example:8080/y", "other.example:8080/y", True),
        ("https://archive.example/else", "archive.example/else", True),
    ],
)
def test_a_file_lies_below_the_source_or_under_its_host(url, path, urls):
    assert placed(url, ROOT) == (path, (url.partition("#")[0],) if urls else ())


def test_a_source_on_http_has_what_its_https_serves():
    assert placed("https://a.example/s/f", "http://a.example/s/") == ("f", ("https://a.example/s/f",))


@pytest.mark.parametrize("url", ["http://[]/f", "https://[::1/f"])
def test_a_url_that_is_none_stays_whole_and_is_rejected_as_a_path(url):
    path, urls = placed(url, ROOT)
    assert urls == (url,)
    with pytest.raises(UnsafePath):
        check_path(path)


# Frictionless


def test_a_data_package_names_its_files():
    package = {
        "name": "p",
        "licenses": [{"name": "CC0-1.0"}],
        "resources": [
            {"name": "a", "path": "data/a.csv", "bytes": 12, "hash": MD5},
            {"name": "b", "path": "b.csv", "hash": f"SHA256:{SHA256}"},
            {"name": "c", "path": "https://other.example/c.csv", "hash": "sha1:" + "a" * 40},
            {"name": "d", "data": [1, 2]},
            {"name": "e", "path": ["e1.csv", "e2.csv"], "bytes": 5, "hash": MD5},
            {"name": "f", "path": "f.csv", "hash": "unknown:1234", "bytes": "many"},
        ],
    }
    *found, itself = read(datapackage, package)
    assert found == [
        Stat("data/a.csv", 12, digests={"md5": MD5}),
        Stat("b.csv", digests={"sha256": SHA256}),
        Stat("other.example/c.csv", digests={"sha1": "a" * 40}, urls=("https://other.example/c.csv",)),
        Stat("e1.csv"),
        Stat("e2.csv"),
        Stat("f.csv"),
    ]
    assert itself.path == "datapackage.json"
    assert itself.version.startswith("sha256:")


def test_a_package_in_a_folder_speaks_of_that_folder():
    found = stats(read(datapackage, {"resources": [{"path": "./a.csv"}]}, package="v1/datapackage.json"))
    assert sorted(found) == ["v1/a.csv", "v1/datapackage.json"]


@pytest.mark.parametrize("path", ["../up.csv", "/etc/passwd", "a/../../up"])
def test_a_path_out_of_the_package_comes_out_to_be_refused(path):
    with pytest.raises(UnsafePath):
        check_path(read(datapackage, {"resources": [{"path": path}]})[0].path)


@pytest.mark.parametrize(
    ("package", "said"),
    [
        ({"resources": [{"path": 5}]}, "resource 1 has no path that is text"),
        ({"resources": [3, {"path": "a"}]}, "resource 1 is not an object"),
        ({}, "JSON with an unexpected structure"),
        ("<html>", "web page"),
    ],
)
def test_a_package_that_cannot_be_used_says_why(package, said):
    with pytest.raises(DocumentError, match=said):
        read(datapackage, package)


# Croissant


def dataset(*objects, **more):
    return {"@type": "sc:Dataset", "distribution": list(objects), **more}


def test_a_croissant_names_its_file_objects_and_not_what_is_inside_them():
    found = read(
        croissant,
        dataset(
            {
                "@type": "cr:FileObject",
                "@id": "a.csv",
                "contentUrl": "data/a.csv",
                "contentSize": "117743 B",
                "sha256": SHA256,
            },
            {
                "@type": "sc:FileObject",
                "contentUrl": "https://other.example/d.zip",
                "contentSize": "2.6797 GB",
                "md5": MD5,
            },
            {"@type": "cr:FileObject", "@id": "in.csv", "contentUrl": "in.csv", "containedIn": {"@id": "d.zip"}},
            {"@type": "cr:FileSet", "@id": "all", "containedIn": {"@id": "d.zip"}, "includes": "*.csv"},
        ),
    )
    assert found[:-1] == [
        Stat("data/a.csv", 117743, digests={"sha256": SHA256}),
        Stat("other.example/d.zip", digests={"md5": MD5}, urls=("https://other.example/d.zip",)),
    ]
    assert found[-1].path == "croissant.json"


def test_a_file_whose_url_does_not_end_in_its_name_has_that_of_its_id_or_name():
    base = "https://archive.example/api/access/datafile/"
    files = [
        {"@id": "doc/README.md", "name": "README.md", "contentUrl": f"{base}8"},
        {"@id": "data/auto.dta", "name": "auto.dta", "contentUrl": f"{base}9?format=original"},
        {"@id": "f-10", "name": "./more/x.csv", "contentUrl": f"{base}10"},
        {"@id": "f-11", "name": "no file name", "contentUrl": f"{base}11"},
        {"@id": "doc/README.md", "name": "README.md", "contentUrl": f"{base}12"},
        {"@id": "../up.csv", "name": "y.csv", "contentUrl": f"{base}13"},
        {"@id": "far/z.csv", "contentUrl": "https://other.example/q/z.csv"},
    ]
    found = read(croissant, dataset(*({"@type": "cr:FileObject", **one} for one in files)))[:-1]
    assert [one.path for one in found] == [
        "doc/README.md",
        "data/auto.dta",
        "more/x.csv",
        "archive.example/api/access/datafile/11",
        "archive.example/api/access/datafile/12",
        "y.csv",
        "other.example/q/z.csv",
    ]
    assert all(one.urls == (given["contentUrl"],) for one, given in zip(found, files, strict=True))


def test_a_live_dataset_promises_no_digest():
    found = read(croissant, dataset({"@type": "FileObject", "contentUrl": "a", "sha256": SHA256}, isLiveDataset=True))
    assert found[0] == Stat("a")


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (
            dataset(
                {
                    "@type": "FileObject",
                    "@id": "repo",
                    "contentUrl": "https://h.example/x",
                    "encodingFormat": "git+https",
                }
            ),
            "repo: is a git repository .* use reader: huggingface",
        ),
        (dataset({"@type": "FileObject", "@id": "x"}), "x: has no contentUrl"),
        ({"name": "no distribution"}, "has no distribution"),
        (dataset("text"), "distribution 1 is not an object"),
    ],
)
def test_a_croissant_that_names_no_files_says_why(described, said):
    with pytest.raises(DocumentError, match=said):
        read(croissant, described)


# RO-Crate


def crate(*entities):
    about = {"@id": "ro-crate-metadata.json", "@type": "CreativeWork", "about": {"@id": "./"}}
    root = {
        "@id": "./",
        "@type": "Dataset",
        "hasPart": [{"@id": entity["@id"]} for entity in entities if "@id" in entity],
    }
    return {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": [about, root, *entities]}


def test_a_crate_describes_its_files():
    found = read(
        ro_crate,
        crate(
            {"@id": "a%20b.txt", "@type": "File", "contentSize": "1234", "sha256": SHA256},
            {"@id": "./c.nc", "@type": ["File", "SoftwareSourceCode"], "contentSize": 17, "dateModified": "2024-01-02"},
            {"@id": "https://other.example/d.nc", "@type": "File", "contentSize": "17 kB"},
            {"@id": "#person", "@type": "Person"},
            {"@id": "#inline", "@type": "File"},
            {"@id": "folder/", "@type": "Dataset", "distribution": {"@id": "https://other.example/f.zip"}},
            {"@id": "https://other.example/f.zip", "@type": "DataDownload", "md5": MD5},
        ),
    )
    assert found[:-1] == [
        Stat("a b.txt", 1234, digests={"sha256": SHA256}),
        Stat("c.nc", 17, 1704153600.0),
        Stat("other.example/d.nc", urls=("https://other.example/d.nc",)),
        Stat("other.example/f.zip", digests={"md5": MD5}, urls=("https://other.example/f.zip",)),
    ]
    assert found[-1].path == "ro-crate-metadata.json"


def test_a_crate_that_is_detached_from_its_files_names_them_by_url():
    files = [
        {"@id": "https://other.example/d/8", "@type": "File", "localPath": "./doc/a.txt", "sha256": SHA256},
        {"@id": "https://other.example/d/b.nc", "@type": "File", "localPath": "../up"},
    ]
    root = {"@id": "https://doi.example/10.1/x", "@type": "Dataset", "hasPart": [{"@id": f["@id"]} for f in files]}
    for name in ("x-ro-crate-metadata.json", "https://doi.example/10.1/x/metadata"):
        about = {"@id": name, "@type": "CreativeWork", "about": {"@id": root["@id"]}}
        about["conformsTo"] = {"@id": "https://w3id.org/ro/crate/1.2"}
        found = read(ro_crate, {"@graph": [about, root, *files]}, crate="x-ro-crate-metadata.json")
        assert found[:-1] == [
            Stat("doc/a.txt", digests={"sha256": SHA256}, urls=("https://other.example/d/8",)),
            Stat("other.example/d/b.nc", urls=("https://other.example/d/b.nc",)),
        ]


@pytest.mark.promise("P5")
def test_a_part_that_a_crate_names_and_does_not_describe_makes_it_incomplete():
    parts = [{"@id": "./a.csv"}, {"@id": "b.csv"}, {"@id": "raw/"}, {"@id": "#one"}]
    described = crate({"@id": "./", "@type": "Dataset", "hasPart": parts}, {"@id": "a.csv", "@type": "File"})
    with pytest.raises(DocumentError, match=r"names 'b\.csv' as a part, and does not describe it$"):
        read(ro_crate, described)


def test_what_is_no_crate_is_said():
    with pytest.raises(DocumentError, match="not an RO-Crate"):
        read(ro_crate, {"@graph": [{"@id": "a", "@type": "File"}]})
    with pytest.raises(DocumentError, match="a file has no @id"):
        read(ro_crate, crate({"@type": "File"}))


# hashdeep

HASHDEEP = f"""%%%% HASHDEEP-1.0
%%%% size,md5,sha256,filename
## Invoked from: /Users/jessek/projects
## $ hashdeep -r .
##
622,{MD5},{SHA256},/data/set/ilookv3.hsh
0,{MD5.upper()},notadigest,/data/set/a, b.txt
"""


WINDOWS = f"""%%%% HASHDEEP-1.0\r
%%%% size,md5,filename\r
## C:\\> hashdeep -r .\r
5,{MD5},D:\\Archive\\a,b\\c.nc\r
7,{MD5},d:\\archive\\降水.nc\r
"""


@pytest.mark.parametrize("root", ["D:\\archive", "d:\\Archive\\", "D:/archive"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_list_of_hashdeep_on_windows_has_its_root_and_its_separators(root, encoding):
    found = read(hashdeep, WINDOWS.encode(encoding), lists=["h"], root=root)
    assert [(stat.path, stat.size) for stat in found[:-1]] == [("a,b/c.nc", 5), ("降水.nc", 7)]


def test_relative_names_of_hashdeep_on_windows_have_separators_if_all_agree():
    body = WINDOWS.replace("D:\\Archive", ".").replace("d:\\archive", ".")
    assert [stat.path for stat in read(hashdeep, body.encode(), lists=["h"])[:-1]] == ["a,b/c.nc", "降水.nc"]
    mixed = body.replace(".\\降水", "./降水")
    assert [stat.path for stat in read(hashdeep, mixed.encode(), lists=["h"])[:-1]] == [".\\a,b\\c.nc", "降水.nc"]


def test_hashdeep_has_sizes_and_several_digests():
    found = read(hashdeep, HASHDEEP, lists=["hashes.txt"], root="/data/set")
    assert found[:-1] == [
        Stat("ilookv3.hsh", 622, digests={"md5": MD5, "sha256": SHA256}),
        Stat("a, b.txt", 0, digests={"md5": MD5}),
    ]
    assert found[-1].path == "hashes.txt"


def test_columns_that_we_cannot_check_are_passed_over_and_line_ends_of_windows_too():
    body = (
        f"%%%% HASHDEEP-1.0\r\n%%%% size,tiger,sha-256,whirlpool,filename\r\n5,{'a' * 48},{SHA256},{'b' * 128},./x\r\n"
    )
    assert read(hashdeep, body, lists=["h"])[0] == Stat("x", 5, digests={"sha256": SHA256})


def test_an_absolute_name_without_its_root_is_refused_in_the_open():
    with pytest.raises(UnsafePath):
        check_path(read(hashdeep, HASHDEEP, lists=["hashes.txt"])[0].path)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "does not begin as a hashdeep list"),
        ("%%%% HASHDEEP-1.0\n%%%% md5,filename\n", "does not name the columns"),
        (HASHDEEP + "12,short\n", "line 8 does not have the columns"),
        (HASHDEEP + f"many,{MD5},{SHA256},x\n", "line 8 does not have the columns"),
    ],
)
def test_a_list_that_is_none_says_why(body, said):
    with pytest.raises(DocumentError, match=said):
        read(hashdeep, body, lists=["h"])


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(lambda n: n == n.strip()),
        st.tuples(st.integers(0, 1 << 60), st.binary(min_size=16, max_size=16)),
        max_size=20,
    )
)
def test_what_hashdeep_writes_is_read(files):
    lines = [f"{size},{digest.hex()},/r/{name}" for name, (size, digest) in files.items()]
    body = "\n".join(["%%%% HASHDEEP-1.0", "%%%% size,md5,filename", *lines, ""])
    found = stats(read(hashdeep, body, lists=["list.hashdeep"], root="/r"))
    found.pop("list.hashdeep")
    normal = {name.removeprefix("./"): value for name, value in files.items()}
    assert {p: (s.size, s.digests) for p, s in found.items() if not p.startswith("/")} == {
        name: (size, {"md5": digest.hex()}) for name, (size, digest) in normal.items() if not name.startswith("/")
    }


# Whatever is broken

DOCUMENTS = {
    "datapackage": (
        opened(datapackage),
        json.dumps({"resources": [{"path": "a", "bytes": 1, "hash": MD5}, {"data": 1}]}),
    ),
    "croissant": (
        opened(croissant),
        json.dumps(dataset({"@type": ["x:FileObject"], "contentUrl": "http://a/b", "sha256": MD5})),
    ),
    "ro-crate": (opened(ro_crate), json.dumps(crate({"@id": "http://a/b?c", "@type": ["File"], "contentSize": 1}))),
    "hashdeep": (opened(hashdeep, lists=["h"]), HASHDEEP),
}


@pytest.mark.parametrize("name", DOCUMENTS)
@given(drawn=st.data())
def test_whatever_is_broken_only_a_document_error_comes_of_it(name, drawn):
    reader, body = DOCUMENTS[name]
    (follow,) = reader.start()
    survives(reader, follow, drawn.draw(broken(body)))


def test_options_are_checked():
    for wrong in ("../up.json", "https://other.example/x.json", ""):
        with pytest.raises(ValidationError):
            datapackage.DatapackageOptions(package=wrong)
    with pytest.raises(ValidationError):
        hashdeep.HashdeepOptions.model_validate({"lists": []})


def test_all_files_of_a_crate_are_found_through_the_reader_alone():
    documents = {"ro-crate-metadata.json": json.dumps(crate({"@id": "x.nc", "@type": "File"}))}
    assert sorted(stats(read_all(opened(ro_crate), documents))) == ["ro-crate-metadata.json", "x.nc"]
