"""Servers of weather and ocean data that show trees: THREDDS, ERDDAP, and a WebDAV folder as Nextcloud shows it."""

import csv
import hashlib
import io
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape, quoteattr

from aiohttp import web

from tests.miniatures.miniature import Miniature

BEGAN = 1_700_000_000


class Tree(Miniature):
    """Files with a time each; a change sets it later."""

    def __init__(self, files=None):
        super().__init__(files)
        self.times = dict.fromkeys(self.files, BEGAN)

    def begin(self):
        return {"2024/a b.nc": b"\x89HDF" * 700, "2024/01/x#1.nc": b"x" * 3000, "readme.txt": b"read me\n"}

    def change(self):
        self.files |= {"readme.txt": b"read them\n", "2024/02/new.nc": b"new"}
        del self.files["2024/01/x#1.nc"]
        self.times |= {"readme.txt": BEGAN + 60, "2024/02/new.nc": BEGAN + 60}

    def below(self, folder):
        """The names of folders and files in a folder (`2024/` or "")."""
        inside = [path.removeprefix(folder) for path in sorted(self.files) if path.startswith(folder)]
        folders = sorted({name.split("/")[0] for name in inside if "/" in name})
        return folders, [name for name in inside if "/" not in name]


class Thredds(Tree):
    """Catalogs with rounded sizes, files on another path; the first catalog refers to the others and to itself."""

    reader = "thredds"
    at = "/thredds/catalog/noaaport/"
    keys = "below: noaaport/"

    def answer(self, path, query, origin):
        if path.startswith("/thredds/fileServer/noaaport/"):
            return self.files.get(path.removeprefix("/thredds/fileServer/noaaport/"))
        folder, _, name = path.removeprefix(self.at).rpartition("/")
        folder = f"{folder}/" if folder else ""
        folders, files = self.below(folder)
        if name != "catalog.xml" or not (folders or files):
            return None
        text = self.catalog(folder, folders, files)
        return web.Response(body=text.encode(), content_type="application/xml")

    def catalog(self, folder, folders, files):
        rows = "".join(
            f"<dataset name={quoteattr(name)} ID={quoteattr(folder + name)} urlPath={quoteattr(f'noaaport/{folder}{name}')}>"
            f'<dataSize units="Kbytes">{len(self.files[folder + name]) / 1000:.4g}</dataSize>'
            f'<date type="modified">{stamp(self.times[folder + name])}</date></dataset>'
            for name in files
        )
        refs = "".join(
            f'<catalogRef xlink:href="{quote(name)}/catalog.xml" xlink:title="x" name=""/>' for name in folders
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?><catalog version="1.0.1" '
            'xmlns="http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0" '
            'xmlns:xlink="http://www.w3.org/1999/xlink"><service name="all" serviceType="Compound" base="">'
            '<service name="odap" serviceType="OPENDAP" base="/thredds/dodsC/"/>'
            '<service name="HTTPServer" serviceType="HTTPServer" base="/thredds/fileServer/"/></service>'
            f'<dataset name="top"><metadata inherited="true"><serviceName>all</serviceName></metadata>{rows}'
            f'<catalogRef xlink:href="{self.at}catalog.xml" xlink:title="up"/>{refs}</dataset></catalog>'
        )


def stamp(seconds):
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Erddap(Tree):
    """Two datasets, one of which shows its files."""

    reader = "erddap"
    at = "/erddap/"

    def copy(self):
        return {f"buoys/{path}": content for path, content in self.files.items()}

    def answer(self, path, query, origin):
        if path == "/erddap/tabledap/allDatasets.csv":
            known = [["datasetID", "accessible", "files"], ["", "", ""], ["grid", "public", ""]]
            return table([*known, ["buoys", "public", f"{origin}/erddap/files/buoys/"]])
        name = path.removeprefix("/erddap/files/buoys/")
        if name in self.files:
            return self.files[name]
        folder, _, last = name.rpartition("/")
        folder = f"{folder}/" if folder else ""
        folders, files = self.below(folder)
        if last != ".csv" or not (folders or files):
            return None
        rows: list[list[Any]] = [[f"{one}/", "NaN", "NaN", ""] for one in folders]
        rows += [[one, self.times[folder + one] * 1000, len(self.files[folder + one]), ""] for one in files]
        return table([["Name", "Last modified", "Size", "Description"], *rows])


def table(rows):
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return web.Response(text=text.getvalue(), content_type="text/csv")


class Webdav(Tree):
    """A folder of Nextcloud's: PROPFIND of depth 1, ETags, its own checksums."""

    reader = "webdav"
    at = "/remote.php/dav/public/x/"

    async def _serve(self, request):
        if request.method != "PROPFIND":
            return await super()._serve(request)
        self.asked.append(request)
        if request.headers.get("Depth") != "1" or b"propfind" not in await request.read():
            raise web.HTTPForbidden
        folder = unquote(request.path.removeprefix(self.at))
        folders, files = self.below(folder)
        if not folders and not files:
            raise web.HTTPNotFound
        rows = [self.response(folder, None), *(self.response(f"{folder}{name}/", None) for name in folders)]
        rows += [self.response(folder + name, self.files[folder + name]) for name in files]
        body = f'<?xml version="1.0"?><d:multistatus xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns">{"".join(rows)}</d:multistatus>'
        return web.Response(body=body.encode(), status=207, content_type="application/xml")

    def response(self, path, content):
        kind, said, lacking = (
            "<d:resourcetype><d:collection/></d:resourcetype>",
            "",
            "<d:getcontentlength/><oc:checksums/>",
        )
        if content is not None:
            kind, lacking = "<d:resourcetype/>", "<d:quota-used-bytes/>"
            said = (
                f"<d:getcontentlength>{len(content)}</d:getcontentlength>"
                f"<d:getlastmodified>{formatdate(self.times[path], usegmt=True)}</d:getlastmodified>"
                f"<d:getetag>&quot;{hashlib.md5(content).hexdigest()}&quot;</d:getetag>"
                f"<oc:checksums><oc:checksum>SHA1:{hashlib.sha1(content).hexdigest()} ADLER32:none</oc:checksum></oc:checksums>"
            )
        return (
            f"<d:response><d:href>{escape(self.at + quote(path))}</d:href><d:propstat><d:prop>{kind}{said}</d:prop>"
            f"<d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop>{lacking}</d:prop>"
            "<d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>"
        )

    def answer(self, path, query, origin):
        return self.files.get(path.removeprefix(self.at))
