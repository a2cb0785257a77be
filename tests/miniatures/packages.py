"""Descriptions that lie beside the files: a bag (with holes), a Data Package, Croissant, an RO-Crate, hashdeep's list."""

import hashlib
import json
from urllib.parse import quote

from tests.miniatures.miniature import Miniature, md5, sha256


class Beside(Miniature):
    """Files at the source's url, and with them the documents of `described`."""

    at = "/data/set/"

    def __init__(self, files=None):
        super().__init__(files)
        self.origin = ""

    def described(self):
        """The documents, by path."""
        raise NotImplementedError

    def copy(self):
        return {**self.files, **{path: text.encode() for path, text in self.described().items()}}

    def answer(self, path, query, origin):
        self.origin = origin
        return self.served().get(path.removeprefix(self.at))

    def served(self):
        return self.copy()


class Bag(Beside):
    """A bag of version 1.0; what is in data/far/ is not in it, but where fetch.txt says."""

    reader = "bagit"

    def begin(self):
        return {"data/100%.txt": b"all of it\n", "data/a b/é.nc": b"\x89HDF" * 500, "data/far/large.bin": b"far" * 3000}

    def change(self):
        self.files["data/100%.txt"] = b"nothing at all\n"
        self.files["data/new.txt"] = b"new\n"
        del self.files["data/far/large.bin"]

    def described(self):
        def lines(algorithm, files):
            escaped = {path.replace("%", "%25"): content for path, content in files.items()}
            return "".join(f"{hashlib.new(algorithm, c).hexdigest()}  {p}\n" for p, c in sorted(escaped.items()))

        size = sum(map(len, self.files.values()))
        found = {
            "bagit.txt": "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
            "bag-info.txt": f"Payload-Oxum: {size}.{len(self.files)}\nExternal-Identifier: x\n",
            "manifest-sha256.txt": lines("sha256", self.files),
            "manifest-md5.txt": lines("md5", self.files),
            "fetch.txt": "".join(
                f"{self.origin}/elsewhere/{quote(path)} {len(content)} {path}\n"
                for path, content in sorted(self.files.items())
                if path.startswith("data/far/")
            ),
        }
        tags = {path: text.encode() for path, text in found.items()}
        return {**found, "tagmanifest-sha256.txt": lines("sha256", tags)}

    def answer(self, path, query, origin):
        if path.startswith("/elsewhere/"):
            return self.files.get(path.removeprefix("/elsewhere/"))
        return super().answer(path, query, origin)

    def served(self):
        return {path: content for path, content in self.copy().items() if not path.startswith("data/far/")}


class DataPackage(Beside):
    """A Frictionless Data Package; one resource has two parts and no digest, one has its data in the package."""

    reader = "datapackage"

    def begin(self):
        return {"data/stations.csv": b"id\n1\n", "part 1.csv": b"1\n", "part 2.csv": b"2\n", "plain.txt": b"plain\n"}

    def change(self):
        self.files["data/stations.csv"] = b"id\n1\n2\n"
        self.files["new.csv"] = b"new\n"
        del self.files["plain.txt"]

    def described(self):
        singles = [path for path in sorted(self.files) if not path.startswith("part ")]
        resources = [
            {
                "name": f"r{n}",
                "path": path,
                "bytes": len(self.files[path]),
                "hash": f"sha256:{sha256(self.files[path])}",
            }
            for n, path in enumerate(singles)
        ]
        resources[0]["hash"] = md5(self.files[singles[0]])
        resources += [{"name": "parts", "path": ["part 1.csv", "part 2.csv"]}, {"name": "inline", "data": [{"a": 1}]}]
        return {
            "datapackage.json": json.dumps({"name": "set", "licenses": [{"name": "CC0-1.0"}], "resources": resources})
        }


class Croissant(Beside):
    """A Croissant description, one of whose digests is an MD5 that is called a SHA-256."""

    reader = "croissant"

    def begin(self):
        return {"archive.zip": b"PK" * 900, "labels.csv": b"a,b\n"}

    def change(self):
        self.files["labels.csv"] = b"a,b\n1,2\n"
        self.files["more.csv"] = b"c\n"

    def described(self):
        objects = [
            {
                "@type": "cr:FileObject", "@id": path, "name": path, "contentUrl": path, "encodingFormat": "text/csv",
                "contentSize": f"{len(content)} B", "sha256": md5(content) if path == "labels.csv" else sha256(content),
            }
            for path, content in sorted(self.files.items())
        ]  # fmt: skip
        inside = {"@type": "cr:FileSet", "@id": "in", "containedIn": {"@id": "archive.zip"}, "includes": "*.csv"}
        return {"croissant.json": json.dumps({"@type": "sc:Dataset", "distribution": [*objects, inside]})}


class Crate(Beside):
    """An RO-Crate whose files have digests, or at least a size and a date."""

    reader = "ro-crate"

    def begin(self):
        return {"a b.txt": b"text\n", "run/out#1.nc": b"\x89HDF" * 99}

    def change(self):
        self.files["a b.txt"] = b"other text\n"
        self.files["run/new.nc"] = b"new"
        del self.files["run/out#1.nc"]

    def described(self):
        files = [
            {"@id": quote(path), "@type": "File", "contentSize": str(len(content)), "sha256": sha256(content)}
            for path, content in sorted(self.files.items())
        ]
        parts = [{"@id": file["@id"]} for file in files]
        about = {"@id": "ro-crate-metadata.json", "@type": "CreativeWork", "about": {"@id": "./"}}
        graph = [about, {"@id": "./", "@type": "Dataset", "hasPart": parts}, *files]
        return {
            "ro-crate-metadata.json": json.dumps({"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph})
        }


class Hashdeep(Beside):
    """A list of hashdeep's with absolute names."""

    reader = "hashdeep"
    keys = "lists: [hashes.txt], root: /srv/archive"

    def begin(self):
        return {"a, b.csv": b"1,2\n", "deep/c.bin": b"c" * 4000}

    def change(self):
        self.files["a, b.csv"] = b"1,2,3\n"
        self.files["d"] = b""
        del self.files["deep/c.bin"]

    def described(self):
        rows = [f"{len(c)},{md5(c)},{sha256(c)},/srv/archive/{p}\n" for p, c in sorted(self.files.items())]
        head = (
            "%%%% HASHDEEP-1.0\n%%%% size,md5,sha256,filename\n## Invoked from: /srv/archive\n## $ hashdeep -r .\n##\n"
        )
        return {"hashes.txt": head + "".join(rows)}
