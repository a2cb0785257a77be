"""Dataverse: a dataset with folders, and a table that was taken in: its digest is of the original file."""

from tests.miniatures.miniature import Miniature, md5

DOI = "doi:10.7910/DVN/TJCLKP"


class Dataverse(Miniature):
    """Names that end in `.dta` are tables, which are shown as `.tab` unless the original is asked for."""

    reader = "dataverse"
    keys = f'datasets: ["{DOI}"]'

    def begin(self):
        return {"survey.dta": b"the original, in the form of Stata", "docs/read me.txt": b"read me\n", "gone.txt": b"x"}

    def change(self):
        self.files |= {"survey.dta": b"a corrected original", "docs/new.txt": b"new\n"}
        del self.files["gone.txt"]

    def answer(self, path, query, origin):
        order = sorted(self.files)
        if path == "/api/datasets/:persistentId/" and query["persistentId"] == DOI:
            return {
                "status": "OK",
                "data": {"latestVersion": {"versionNumber": 1, "files": [self.file(n) for n in order]}},
            }
        if path.startswith("/api/access/datafile/"):
            name = order[int(path.rpartition("/")[2])]
            if name.endswith(".dta") and query.get("format") != "original":
                return b"derived\ttable\n"
            return self.files[name]
        return None

    def file(self, path):
        folder, _, name = path.rpartition("/")
        content = self.files[path]
        held = {"id": sorted(self.files).index(path), "filesize": len(content), "md5": md5(content)}
        held |= {"checksum": {"type": "MD5", "value": md5(content)}}
        if name.endswith(".dta"):
            name = name[:-4] + ".tab"
            held |= {"filesize": 14, "originalFileSize": len(content), "originalFileFormat": "application/x-stata-14"}
            held |= {"tabularData": True, "UNF": "UNF:6:x=="}
        return {"label": name, "restricted": False, "dataFile": held} | ({"directoryLabel": folder} if folder else {})
