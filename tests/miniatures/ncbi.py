"""NCBI's genomes: a summary, assemblies with md5checksums.txt, and the taxonomy's dump with its sidecar."""

from tests.miniatures.miniature import Miniature, md5

SUMMARY = "genomes/refseq/viral/assembly_summary.txt"
COLUMNS = "#assembly_accession\tbioproject\trefseq_category\tversion_status\torganism_name\tftp_path\texcluded"
DUMP = "pub/taxonomy/taxdump.tar.gz"


class Ncbi(Miniature):
    """`assemblies` maps an accession to its status; each has a genome, a report, and a file that changes unannounced."""

    reader = "ncbi"
    keys = (
        f"summaries: [{SUMMARY}], singles: [{DUMP}], where: {{version_status: [latest]}}, "
        'files: ["*_genomic.fna.gz", "annotation_hashes.txt"]'
    )

    def __init__(self, assemblies=None):
        self.assemblies = dict(
            assemblies or {"GCF_000839645.2": "latest", "GCF_000819615.1": "latest", "GCF_1.1": "replaced"}
        )
        self.dump = b"taxdump"
        self.noise = b"first\n"
        super().__init__({})

    def change(self):
        self.assemblies = {"GCF_000839645.2": "latest", "GCF_000819615.1": "suppressed", "GCF_000837105.1": "latest"}
        self.dump = b"taxdump, a day later"
        self.noise = b"second, and no list says so\n"

    def folder(self, accession):
        return f"genomes/all/{accession[:3]}/{accession[4:7]}/{accession}_ViralProj"

    def listed(self, accession):
        stem = f"{self.folder(accession)}/{accession}_ViralProj"
        return {f"{stem}_genomic.fna.gz": f"genome of {accession}".encode(), f"{stem}_assembly_report.txt": b"report"}

    def sums(self, accession):
        base = self.folder(accession) + "/"
        lines = [f"{md5(content)}  ./{path.removeprefix(base)}\n" for path, content in self.listed(accession).items()]
        return "".join([*lines, f"{md5(b'as it was once')}  ./annotation_hashes.txt\n"]).encode()

    def summary(self):
        rows = [
            f"{accession}\tPRJNA485481\tna\t{status}\tVirus “x”\thttps://ftp.ncbi.nlm.nih.gov/{self.folder(accession)}\tna"
            for accession, status in self.assemblies.items()
        ]
        return "\n".join(
            ("##  See ftp://ftp.ncbi.nlm.nih.gov/genomes/README_assembly_summary.txt", COLUMNS, *rows, "")
        ).encode()

    def copy(self):
        found = {SUMMARY: self.summary(), DUMP: self.dump, f"{DUMP}.md5": self.sidecar()}
        for accession, status in self.assemblies.items():
            if status == "latest":
                found |= {path: body for path, body in self.listed(accession).items() if path.endswith(".fna.gz")}
                found[f"{self.folder(accession)}/md5checksums.txt"] = self.sums(accession)
                found[f"{self.folder(accession)}/annotation_hashes.txt"] = self.noise
        return found

    def sidecar(self):
        return f"{md5(self.dump)}  taxdump.tar.gz\n".encode()

    def answer(self, path, query, origin):
        return self.copy().get(path.removeprefix("/"))
