r"""The reader for tables: TSV and CSV files in which each row names a file, or several.

    run_accession  fastq_ftp                                   fastq_bytes  fastq_md5
    ERR000589      ftp.sra.ebi.ac.uk/…_1.fastq.gz;ftp.sra…     50;60        d41d…;0cc1…

Rules:
1. A table is a stream: its rows are read one by one, also out of gzip.
2. The header is the first line with the wanted columns, also behind a `#`, as in `#ENA_FILE_PATH`. Other lines that
   begin with `#` are comments. A table without a header has its columns named in the manifest.
3. In CSV a field may be quoted, and contain line ends. TSV knows no quotes.
4. A field may hold several values (`lists: ;`), those of one row in parallel.
5. A row whose columns do not fit the header makes the list incomplete, and so does a last line without a line end.
   A row without an address names no file.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import translate
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, Field

from manifests.digest import canonical
from manifests.errors import InvalidValue
from manifests.messages import count, message
from manifests.model import AtLeastOne, Flag
from manifests.origins import check_folder_url
from manifests.reading import (
    ANY,
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    ReaderKind,
    ReaderSource,
    ReaderWarning,
    SkippedEntries,
    chosen,
    digests,
    encoded_urls,
    encoding_of,
    is_packed,
    is_remote,
    moment,
    own,
    placed,
    recoded,
    size,
    unpacked,
)
from manifests.stat import Stat, UnsafePath, check_path
from manifests.yaml import STRICT

MAX_LINE = 4 << 20  # bytes
MAX_TABLE = 8 << 30  # bytes of one document

_SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_FIELD = re.compile(r"\{([^{}]+)\}")
_SAFE = "/:@!$&'()*+,;=~"
_ALGORITHM = re.compile(r"[A-Za-z]+[0-9-]*[0-9]+")


def _table(given: Any) -> Any:
    if not isinstance(given, str) or is_remote(given):
        return given
    path = given.partition("?")[0]
    if "://" in given:
        raise InvalidValue(
            message("is of another protocol"), message("name a path below the url, or a url of https://")
        )
    try:
        check_path(path)
    except UnsafePath as error:
        raise InvalidValue(str(error), message("name the table by its path below the url")) from error
    return given


def _base(given: Any) -> Any:
    return check_folder_url(given, frozenset({"http", "https"})) if isinstance(given, str) else given


class TableOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    tables: Annotated[tuple[Annotated[str, BeforeValidator(_table)], ...], AtLeastOne] = Field(
        json_schema_extra={"minItems": 1}
    )
    """The tables: paths below the url, with a query if they need one, or urls."""
    address: str = Field(min_length=1)
    """The column with the url of a file, or its path below the url; or a pattern of columns, as in "data/{id}"."""
    path: str = ""
    """The path of a file in the copy, if not that of its address: a column, or a pattern as in "{id}/{name}"."""
    size: str = ""
    """The column with the size in bytes."""
    checksums: tuple[str, ...] = ()
    """The columns with checksums; the algorithm is in the column's name (fastq_md5), or follows from the length."""
    modified: str = ""
    """The column with the time of the last change (ISO 8601)."""
    columns: tuple[str, ...] = ()
    """The names of the columns, in order, for a table without a header."""
    separator: Literal["", "tab", "comma", "semicolon", "pipe"] = ""
    """Between two columns: tab, comma, semicolon or pipe; by default comma in a .csv, else tab."""
    lists: Literal["", ";", ",", "|", " "] = ""
    """The character between several values in one field, as ; in ENA's reports."""
    strip: str = ""
    """The beginning of addresses that is no part of the path, as in ftp.sra.ebi.ac.uk/ or ftp://host/pub/."""
    download: Annotated[str, BeforeValidator(_base)] = ""
    """The url below which the files lie, if not the source's."""
    where: dict[str, tuple[str, ...]] = {}
    """Which rows: a column, and the values wanted in it; * and ? are wildcards."""
    unterminated: Flag = False
    """True if the publisher writes no line end after the last line; otherwise such a table counts as truncated."""


def open_reader(source: ReaderSource) -> "TableReader":
    """Return the reader for `source`."""
    return TableReader(source.url, chosen(source, TableOptions), encoding_of(source))


class TableReader:
    """A Reader: one request for each table; one Stat for each file in it, and one for the table if it is a file."""

    native = False

    def __init__(self, url: str, options: TableOptions, encoding: str = "utf-8") -> None:
        self._url = url
        self._encoding = encoding
        self._options = options
        self._where = [(column, _matcher(values)) for column, values in options.where.items()]
        self._address = _columns_of(options.address)
        self._labels = [(column, _label(column)) for column in options.checksums]
        named = (options.size, options.modified, *options.checksums, *options.where)
        patterns = (options.address, options.path)
        self._wanted = tuple(
            dict.fromkeys([*(one for each in patterns for one in _columns_of(each)), *(one for one in named if one)])
        )

    def start(self) -> Iterable[DocumentRequest]:
        """Request the tables."""
        tables = dict.fromkeys(self._options.tables)
        return [DocumentRequest(url=self._url_of(table), state=table, max_bytes=MAX_TABLE) for table in tables]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files that a table names, then the table itself if it is a file below the url."""
        table = document.asked.state
        is_file = not is_remote(table) and "?" not in table
        listed = own(document, table) if is_file else None
        was_packed = is_packed(document)
        lines = _Lines(recoded(unpacked(document), self._encoding))
        separator = self._separator(table)
        skipped = SkippedEntries(document)
        header = self._header(document, lines, separator)
        width = max(header.values()) + 1
        for number, row in self._rows(document, lines, separator):
            yield from self._files(header, width, number, row, skipped)
        if not was_packed and not self._options.unterminated:
            if not lines.is_terminated:
                skipped.add(message("the last line has no line end: it may be cut"))
            else:
                document.insist_on_bounds()
        skipped.raise_if_any()
        if listed is not None:
            yield listed

    def _url_of(self, table: str) -> str:
        """Return the url of a table; in a path alone a question mark would be part of a name."""
        return f"{self._url}{table}" if "?" in table and not is_remote(table) else table

    def _separator(self, table: str) -> str:
        if self._options.separator:
            return _SEPARATORS[self._options.separator]
        name = table.partition("?")[0].lower().removesuffix(".gz")
        return "," if name.endswith(".csv") or "format=csv" in table else "\t"

    # -- rows -----------------------------------------------------------------------------------------------------

    def _header(self, document: Document, lines: "_Lines", separator: str) -> dict[str, int]:
        """Return the place of each column; raises DocumentError, with the columns that there are, if one is missing."""
        if self._options.columns:
            header = {name: place for place, name in enumerate(self._options.columns)}
            return self._checked(document, header)
        best: dict[str, int] = {}
        for line in lines:
            if not line.strip():
                continue
            is_comment = line.startswith("#")
            names = _split(document, line.lstrip("#").strip("\r\n ") if is_comment else line, separator)
            header = dict[str, int]()
            for place, name in enumerate(names):
                header.setdefault(name.strip(), place)
            if all(name in header for name in self._wanted):
                return header
            if sum(name in header for name in self._wanted) >= sum(name in best for name in self._wanted):
                best = header
            if not is_comment:
                break
        else:
            if lines.count == 0:
                raise DocumentError(message("{url}: an empty response is not a table", url=document.url))
        return self._checked(document, best)

    def _checked(self, document: Document, header: dict[str, int]) -> dict[str, int]:
        missing = next((name for name in self._wanted if name not in header), None)
        if missing is None:
            return header
        if any("<html" in name.lower() or "<!doctype" in name.lower() for name in header):
            raise DocumentError(message("{url}: a web page (a login page?), not a table", url=document.url))
        raise DocumentError(
            message(
                "{url}: has no column {name!r}; its columns are {columns}",
                url=document.url,
                name=missing,
                columns=", ".join(header)[:1000],
            )
        )

    def _rows(self, document: Document, lines: "_Lines", separator: str) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows with the numbers of their lines; comments and blank lines are none."""
        try:
            for row in csv.reader(lines, delimiter=separator, quoting=_quoting(separator), strict=True):
                if any(row) and not row[0].startswith("#"):
                    yield lines.count, row
        except csv.Error as error:
            raise DocumentError(
                message("{url}: line {number}: {cause}", url=document.url, number=lines.count, cause=error)
            ) from error

    # -- files ----------------------------------------------------------------------------------------------------

    def _files(
        self, header: Mapping[str, int], width: int, number: int, row: list[str], skipped: SkippedEntries
    ) -> Iterator[Found]:
        if number == 1 and self._options.columns and len(row) < width:  # PMC writes when it made the table
            yield ReaderWarning(message("a first line that is no row was left out"))
            return
        if len(row) > width or any(header[name] >= len(row) for name in self._wanted):
            skipped.add(
                message(
                    "line {number} has {columns}, the header {width}",
                    number=number,
                    columns=count(len(row), "{n} column", "{n:,} columns"),
                    width=width,
                )
            )
            return
        fields = {name: row[header[name]].strip() for name in self._wanted}
        if not all(matches(fields[column]) for column, matches in self._where):
            return
        several = self._several(fields)
        if not several:
            yield ReaderWarning(message("rows without an address name no file"))
        for one in several:
            yield self._file(one)

    def _several(self, fields: Mapping[str, str]) -> list[Mapping[str, str]]:
        """Return the fields of each file of a row; values that are not in parallel with the addresses stay away."""
        options, mark = self._options, self._options.lists
        columns = self._address
        if not mark:
            return [fields] if all(fields[column] for column in columns) else []
        split = {name: value.split(mark) for name, value in fields.items()}
        width = max(len(split[column]) for column in columns)
        found: list[Mapping[str, str]] = []
        for at in range(width):
            one = {
                name: values[at].strip() if len(values) == width else (values[0] if len(values) == 1 else "")
                for name, values in split.items()
            }
            if width > 1:  # one size for several files is none of them
                for name in (options.size, *options.checksums):
                    if name and len(split[name]) != width:
                        one[name] = ""
            if all(one[column] for column in columns):
                found.append(one)
        return found

    def _file(self, fields: Mapping[str, str]) -> Stat:
        options = self._options
        address = _filled(options.address, fields)
        rest = address.removeprefix(options.strip) if options.strip else address
        base = options.download or self._url
        urls: tuple[str, ...]
        if "://" in rest:
            path, urls = placed(rest, base)
            urls = urls or ((rest,) if options.download else ())
        else:
            path = rest.removeprefix("./")
            urls = (
                (f"{options.download}{quote(path, safe=_SAFE, errors='surrogateescape')}",)
                if options.download
                else encoded_urls(self._url, path, self._encoding)
            )
        if options.path:
            if not urls:
                urls = (f"{self._url}{quote(path, safe=_SAFE, errors='surrogateescape')}",)
            path = _filled(options.path, {"name": path.rpartition("/")[2], **fields})
        promised = digests(*((label, fields[column]) for column, label in self._labels))
        length = size(fields[options.size]) if options.size else None
        when = moment(fields[options.modified]) if options.modified else None
        return Stat(path, length, when, None, promised, urls)


class _Lines:
    """The lines of a document as text, and how many there were; bytes that are not text become surrogates."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.count = 0
        self.is_terminated = True

    def __iter__(self) -> Iterator[str]:
        document = self._document
        while line := document.stream.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise DocumentError(
                    message("{url}: a line is longer than {limit} bytes", url=document.url, limit=MAX_LINE)
                )
            self.is_terminated = line.endswith((b"\n", b"\r"))
            if not self.count:
                line = line.removeprefix(b"\xef\xbb\xbf")  # a byte order mark
            self.count += 1
            yield line.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r") + "\n"


def _split(document: Document, line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, quoting=_quoting(separator)), [])
    except csv.Error as error:
        raise DocumentError(message("{url}: its first line: {cause}", url=document.url, cause=error)) from error


def _quoting(separator: str) -> Literal[0, 3]:
    return csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL


def _columns_of(pattern: str) -> list[str]:
    """Return the columns that a pattern names; one without braces is a column itself."""
    if not pattern:
        return []
    named = _FIELD.findall(pattern)
    return [name for name in named if name != "name"] if named else [pattern]


def _filled(pattern: str, fields: Mapping[str, str]) -> str:
    if "{" not in pattern:
        return fields[pattern]
    return _FIELD.sub(lambda found: fields.get(found[1], ""), pattern)


def _label(column: str) -> str:
    """Return the algorithm in the name of a column (`fastq_md5`, `MD5SUM`), "" if it names none."""
    for word in re.split(r"[\s_.:()-]+", column):
        if canonical(word) is not None:
            return word
    found = _ALGORITHM.search(column)
    return found[0] if found is not None and canonical(found[0]) is not None else ""


def _matcher(values: tuple[str, ...]) -> Any:
    if not any(mark in value for value in values for mark in "*?["):
        return frozenset(values).__contains__
    match = re.compile("|".join(map(translate, values))).match
    return lambda value: match(value) is not None


READER = ReaderKind(
    open_reader,
    TableOptions,
    schemes=ANY,
    proof=CompletenessProof(end="the line end of the last line; the checksum of gzip", unseen="lines"),
    encoded=True,
)
