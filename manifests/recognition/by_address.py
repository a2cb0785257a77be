"""What an address itself tells: the pages and the APIs of well-known archives have paths of their own.

Rule: a page for people and the API behind it may be on other hosts; `_API` has those of the public services. On any
other host (an installation of one's own) the API is on the page's host.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.origins import check_folder_url, origin
from manifests.recognition.candidate import Candidate, GivenAddress

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_API = {
    "figshare": ("figshare.com", "https://api.figshare.com/v2/"),
    "osf": ("osf.io", "https://api.osf.io/v2/"),
    "dandi": ("dandiarchive.org", "https://api.dandiarchive.org/api/"),
    "gbif": ("gbif.org", "https://api.gbif.org/v1/"),
    "cmr": ("earthdata.nasa.gov", "https://cmr.earthdata.nasa.gov/search/"),
    "kcdb": ("bipm.org", "https://www.bipm.org/api/kcdb/"),
    "checklistbank": ("checklistbank.org", "https://api.checklistbank.org/"),
}
"""By reader: the host of the pages for people (and those below it), and the root of its API."""

_FACETS_NOT = frozenset(
    {"type", "format", "limit", "offset", "fields", "facets", "sort", "distrib", "replica", "latest"}
)

Match = re.Match[str]
Rule = tuple[str, re.Pattern[str], Callable[[GivenAddress, Match], tuple[str, dict[str, Any]]]]


def given_address(text: str) -> GivenAddress:
    """Return an address as it was copied from a browser; raises InvalidValue if it is none."""
    page = text.strip()
    if "://" not in page:
        raise InvalidValue(message("is not an address"), message("write it whole, as in https://host/folder/"))
    parts = urlsplit(page)
    whole = page.partition("#")[0].partition("?")[0]
    path = unquote(parts.path)
    folder = whole if whole.endswith("/") else whole.rpartition("/")[0] if path.count("/") > 1 else _root(whole)
    if "." not in whole.rpartition("/")[2] and path not in {"", "/"}:
        folder = whole
    folder = check_folder_url(folder)
    if parts.username is not None or parts.password is not None:
        raise InvalidValue(message("has a name or a password in it"), message("write them into syncd.yaml"))
    start = "file://" if parts.scheme == "file" else origin(folder)
    return GivenAddress(page.partition("#")[0], folder, start, path, parse_qs(parts.query))


def _root(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/"


def by_address(given: GivenAddress) -> Iterator[Candidate]:
    """Yield the sources that the address itself names."""
    if not given.is_web:
        why = "the protocol lists its own files"
        yield Candidate(given.folder, "", why)
        return
    for reader, pattern, make in _RULES:
        found = pattern.search(f"{given.origin}{given.path}?{_flat(given)}")
        if found is not None:
            url, options = make(given, found)
            why = f"the address has what those of {reader} have: {found[0].rstrip('?')[:200]}"
            yield Candidate(url, reader, why, options)


def _flat(given: GivenAddress) -> str:
    return "&".join(f"{key}={value}" for key, values in sorted(given.query.items()) for value in values)


def _api(reader: str, given: GivenAddress, otherwise: str) -> str:
    """Return the root of an API: the public one for pages of its own hosts, else below the origin of the page."""
    host, root = _API[reader]
    own = urlsplit(given.origin).hostname or ""
    return root if own == host or own.endswith(f".{host}") else f"{given.origin}{otherwise}"


def _one(reader: str, key: str, below: str, group: int = 1) -> Callable[[GivenAddress, Match], Any]:
    def make(given: GivenAddress, found: Match) -> tuple[str, dict[str, Any]]:
        root = _api(reader, given, below) if reader in _API else f"{given.origin}{below}"
        return root, {key: [found[group]]}

    return make


def _cmr(given: GivenAddress, found: Match) -> tuple[str, dict[str, Any]]:
    return _api("cmr", given, "/search/"), {"collections": [found[1]]}


def _kept(group: int, **options: Any) -> Callable[[GivenAddress, Match], Any]:
    """Return what makes the url of the part of the address up to the end of a group."""
    return lambda _, found: (f"{found[group].rstrip('/')}/", dict(options))


def _odata(given: GivenAddress, found: Match) -> tuple[str, dict[str, Any]]:
    """Return a catalogue of products; on hosts other than the public ones it has the downloads, too."""
    own = {} if given.origin.endswith("dataspace.copernicus.eu") else {"download": f"{found[1]}/"}
    return f"{found[1]}/", {**({"collections": [found[2]]} if found[2] else {}), **own}


def _esgf(given: GivenAddress, found: Match) -> tuple[str, dict[str, Any]]:
    facets = {key: values if len(values) > 1 else values[0] for key, values in given.query.items()}
    wanted = {key: value for key, value in facets.items() if key not in _FACETS_NOT}
    return f"{found[1]}/", {"facets": wanted or {"project": "CMIP6"}}


def _erddap(_given: GivenAddress, found: Match) -> tuple[str, dict[str, Any]]:
    return f"{found[1]}/", {"datasets": [found[2]]} if found[2] else {}


def _thredds(_given: GivenAddress, found: Match) -> tuple[str, dict[str, Any]]:
    name = (found[2] or "catalog.xml").replace(".html", ".xml")
    return f"{found[1]}/", {} if name == "catalog.xml" else {"catalog": name}


def _oai(given: GivenAddress, found: Match) -> tuple[str, dict[str, Any]]:
    prefix = given.query.get("metadataPrefix", ["oai_dc"])[0]
    sets = given.query.get("set", [])
    more = {"metadata_prefix": prefix} if prefix != "oai_dc" else {}
    return f"{found[1]}/", {"repository": found[2], **more, **({"sets": sets} if sets else {})}


def _csw(_given: GivenAddress, found: Match) -> tuple[str, dict[str, Any]]:
    return f"{found[1]}/", {} if found[2] == "csw" else {"service": found[2]}


def _ncbi(given: GivenAddress, found: Match) -> tuple[str, dict[str, Any]]:
    return f"{given.origin}/", {"summaries": [found[1]], "where": {"version_status": ["latest"]}}


def _osf(given: GivenAddress, found: Match) -> tuple[str, dict[str, Any]]:
    return _api("osf", given, "/v2/"), {"nodes": [found[1]]}


def _releases(given: GivenAddress, found: Match) -> tuple[str, dict[str, Any]]:
    key = found[1]
    options = {"datasets": [key], "take": "archive"} if key.isdigit() else {"releases": "latest"}
    return _api("checklistbank", given, "/"), options


def _rule(reader: str, pattern: str, make: Callable[[GivenAddress, Match], Any]) -> Rule:
    return reader, re.compile(pattern), make


_RULES: tuple[Rule, ...] = (
    _rule("zenodo", r"/(?:api/)?records?/(\d+)(?=[/?])", _one("zenodo", "records", "/")),
    _rule("zenodo", r"doi\.org/10\.5281/zenodo\.(\d+)", lambda _, m: ("https://zenodo.org/", {"records": [m[1]]})),
    _rule("figshare", r"/articles/(?:[^?]*/)?(\d{5,})(?:/(?:\d+|files))?/?\?", _one("figshare", "articles", "/v2/")),
    _rule("figshare", r"/collections/(?:[^?]*/)?(\d{5,})(?=[/?])", _one("figshare", "collections", "/v2/")),
    _rule("huggingface", r"/(?:api/)?datasets/([\w.-]+/[\w.-]+)(?=[/?])", _one("huggingface", "repositories", "/")),
    _rule("dandi", r"/dandisets?/(\d{6})(?=[/?])", _one("dandi", "dandisets", "/api/")),
    _rule("osf", r"//osf\.io/([a-z0-9]{5})(?=[/?])", _osf),
    _rule("osf", r"/v2/nodes/([a-z0-9]{5})(?=[/?])", _osf),
    _rule("gbif", rf"/dataset/({_UUID})(?=[/?])", _one("gbif", "datasets", "/v1/")),
    _rule("gbif", r"/occurrence/download/(\d{7}-\d{15})(?=[/?])", _one("gbif", "downloads", "/v1/")),
    _rule("gbif", r"(.*/ipt)/", _kept(1, ipt="inventory")),
    _rule("checklistbank", r"/dataset/([0-9]+|3LR)(?=[/?])", _releases),
    _rule("dataverse", r"persistentId=((?:doi|hdl):[^&]+)", _one("dataverse", "datasets", "/")),
    _rule("cmr", r"\b([CG]\d+-[A-Z][A-Z0-9_]+)\b", _cmr),
    _rule("laads", r"(.*/(?:archive/allData|allData|nrt)/[^?]*?)(?:\.json|\.csv)?\?", _kept(1)),
    _rule("odata", r"(.*/odata/v\d+)/(?:.*Collection/Name eq '([A-Z0-9-]+)')?", _odata),
    _rule("esgf", r"(.*/esg-search)/", _esgf),
    _rule("erddap", r"(.*/erddap)/(?:files|tabledap|griddap)/(?!index\b|all\b)([\w-]+)", _erddap),
    _rule("erddap", r"(.*/erddap)(?:/[^?]*)?()\?", _erddap),
    _rule("thredds", r"(.*/thredds/[^?]*?)/([\w.-]+\.(?:xml|html))\?", _thredds),
    _rule("thredds", r"(.*/thredds/catalog[^?]*?)/?()\?", _thredds),
    _rule("csw", r"(.*)/(csw[\w.-]*)\?", _csw),
    _rule("oai-pmh", r"(.*?)/((?:[\w/-]+/)?(?:oai2d|oai-pmh|oai|oaiserver|dspace-oai/request)(?:/request)?)/?\?", _oai),
    _rule("kcdb", r"(.*/api/kcdb)(?=[/?])", lambda _, m: (f"{m[1]}/", {})),
    _rule("kcdb", r"//www\.bipm\.org/kcdb(?=[/?])", lambda g, _: (_api("kcdb", g, "/api/kcdb/"), {})),
    _rule("ncbi", r"//[^/]+/([^?]*assembly_summary[\w.]*\.txt)\?", _ncbi),
    _rule("webdav", r"(.*/(?:remote\.php/dav|remote\.php/webdav|public\.php/webdav|webdav|dav)/[^?]*)\?", _kept(1)),
    _rule("ckan", r"(?<!/dcat)/dataset/(?!\d+[/?])([a-z0-9_-]{2,})(?=[/?])", _one("ckan", "packages", "/")),
)  # fmt: skip
