"""A release in the manner of UniProt: one Metalink of version 3, its files beside it and at a mirror."""

from xml.sax.saxutils import escape, quoteattr

from tests.miniatures.miniature import Miniature, md5


class Metalink(Miniature):
    """`beside` serves the files beside the list; else they are at the places that the list names."""

    reader = "metalink"
    at = "/pub/databases/uniprot/current_release/knowledgebase/complete/"
    keys = "lists: [RELEASE.metalink]"

    def __init__(self, files=None, version="2024_05"):
        super().__init__(files)
        self.version = version
        self.origin = ""

    def begin(self):
        return {
            "uniprot_sprot.fasta.gz": b"\x1f\x8b" + b"sprot" * 1000,
            "reldate.txt": b"2024_05\n",
            "docs/keyw list.txt": b"keys\n",
        }

    def change(self):
        self.version = "2024_06"
        self.files |= {"reldate.txt": b"2024_06\n", "new.dat": b"new"}
        del self.files["docs/keyw list.txt"]

    def copy(self):
        return {**self.files, "RELEASE.metalink": self.list(self.origin).encode()}

    def list(self, origin):
        rows = []
        for path, content in sorted(self.files.items()):
            places = f'<url location="uk" type="ftp" preference="100">ftp://ftp.example{self.at}{escape(path)}</url>'
            if not path.startswith("docs/"):  # what no place we can ask has is found beside the list
                places += f'<url location="ch" type="http" preference="50">{origin}/mirror/{escape(path)}</url>'
            rows.append(
                f"<file name={quoteattr(path)}><size>{len(content)}</size><verification>"
                f'<hash type="md5">{md5(content)}</hash></verification><resources>{places}</resources></file>'
            )
        return (
            '<?xml version="1.0" encoding="ISO-8859-1"?>\n<metalink version="3.0" xmlns="http://www.metalinker.org/">'
            f"<publisher><name>UniProt</name></publisher><version>{self.version}</version>"
            f"<files>{''.join(rows)}</files></metalink>\n"
        )

    def answer(self, path, query, origin):
        self.origin = origin
        if path == f"{self.at}RELEASE.metalink":
            return self.list(origin).encode()
        if path.startswith("/mirror/"):
            return self.files.get(path.removeprefix("/mirror/"))
        return self.files.get(path.removeprefix(self.at)) if path.startswith(self.at + "docs/") else None
