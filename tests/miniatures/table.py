"""Tables of files: an index with sizes and MD5s, and a packed one in CSV of files on another path."""

import gzip

from tests.miniatures.miniature import Miniature, md5

PACKED = "far/"


class EnaReport(Miniature):
    """A file report of ENA; the files are on another server, and a run without files has an empty row."""

    def begin(self):
        return {f"vol1/fastq/ERR000/ERR00{n}/ERR00{n}_{end}.fastq.gz": b"ACGT" * n for n in (1, 2) for end in (1, 2)}

    def answer(self, path, query, origin):
        if path != "/ena/portal/api/filereport":
            return self.files.get(path.removeprefix("/"))
        assert query["accession"] == "PRJEB1787"
        lines = ["\t".join(query["fields"].split(","))]
        for run in sorted({path.split("/")[3] for path in self.files}):
            files = {path: body for path, body in sorted(self.files.items()) if f"/{run}/" in path}
            lists = (
                [f"ftp.sra.ebi.ac.uk/{p}" for p in files],
                map(str, map(len, files.values())),
                map(md5, files.values()),
            )
            lines.append("\t".join([run, *map(";".join, lists)]))
        return "\n".join([*lines, "ERR009\t\t\t", ""])


class SequenceIndex(Miniature):
    """An index of 1000 Genomes; one sample is not wanted."""

    at = "/vol1/ftp/data_collections/1000G_2504_high_coverage/"
    name_of_index = "1000G_2504_high_coverage.sequence.index"

    def begin(self):
        return {
            f"vol1/run/ERR323/{sample}.final.cram": sample.encode() * 50 for sample in ("NA12718", "NA12878", "NA1")
        }

    def index(self):
        rows = [
            f"ftp://ftp.sra.ebi.ac.uk/{path}\t{md5(body)}\tERR\t{path[16:].partition('.')[0]}\n"
            for path, body in self.files.items()
        ]
        return (
            "##Date=20190612\n##ENA_FILE_PATH=path\n#ENA_FILE_PATH\tMD5SUM\tRUN_ID\tSAMPLE_NAME\n" + "".join(rows)
        ).encode()

    def copy(self):
        wanted = {path: body for path, body in self.files.items() if "NA1." not in path}
        return {**wanted, self.name_of_index: self.index()}

    def answer(self, path, query, origin):
        return self.index() if path == self.at + self.name_of_index else self.files.get(path.removeprefix("/"))


class GdcManifest(Miniature):
    """Files of one name, each in a folder of its id."""

    def begin(self):
        return {f"{n}{n}-{n}/counts & more.tsv": b"gene" * n for n in (1, 2)}

    def answer(self, path, query, origin):
        if path != "/files":
            return next((body for name, body in self.files.items() if path == f"/data/{name.partition('/')[0]}"), None)
        assert query["return_type"] == "manifest"
        assert '"TCGA-CHOL"' in query["filters"]
        rows = [
            "\t".join((*name.split("/"), md5(body), str(len(body)), "released")) for name, body in self.files.items()
        ]
        return "\n".join(["id\tfilename\tmd5\tsize\tstate", *rows, ""])


class PmcList(Miniature):
    """The list of all packages; most are not wanted."""

    at = "/pub/pmc/"

    def begin(self):
        return {f"oa_package/{folder}/e0/PMC1.tar.gz": folder.encode() * 40 for folder in ("00", "01")}

    def list(self):
        rows = [f'{path},"A citation, with ""quotes"".",PMC1,2019-11-05 11:56:12,1,CC BY\n' for path in self.files]
        return (
            "File,Article Citation,Accession ID,Last Updated (YYYY-MM-DD HH:MM:SS),PMID,License\n" + "".join(rows)
        ).encode()

    def copy(self):
        wanted = {path: body for path, body in self.files.items() if path.startswith("oa_package/00/")}
        return {**wanted, "oa_file_list.csv": self.list()}

    def answer(self, path, query, origin):
        return {**self.files, "oa_file_list.csv": self.list()}.get(path.removeprefix(self.at))


class Table(Miniature):
    """Files below `far/` are in the packed table."""

    reader = "table"
    at = "/data/"
    keys = "tables: [index.tsv, far.csv.gz], address: file, size: bytes, checksums: [md5sum]"

    def begin(self):
        return {"a b.nc": b"\x89HDF" * 500, "sub/c.csv": b"1,2\n", "far/é.nc": b"far" * 3000, "far/d.txt": b"d"}

    def change(self):
        self.files["sub/c.csv"] = b"1,3\n"
        self.files["sub/new.csv"] = b"new\n"
        del self.files["far/é.nc"]

    def table(self, separator, packed):
        rows = [("#file", "bytes", "md5sum", "note")] if separator == "\t" else [("file", "bytes", "md5sum", "note")]
        note = '"one, and ""two""\nlines"' if separator == "," else "x"
        for path, content in sorted(self.files.items()):
            if path.startswith(PACKED) == packed:
                rows.append((path, str(len(content)), md5(content), note))
        return ("".join(separator.join(row) + "\n" for row in rows)).encode()

    def tables(self):
        return {
            "index.tsv": b"## made by hand\n" + self.table("\t", packed=False),
            "far.csv.gz": gzip.compress(self.table(",", packed=True), mtime=0),
        }

    def copy(self):
        return {**self.files, **self.tables()}

    def answer(self, path, query, origin):
        return self.copy().get(path.removeprefix(self.at))
