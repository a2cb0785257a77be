"""The options of the reader stac: the wanted items, their wanted assets, and the paths of these."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import Count, Flag, PathBelow
from manifests.reading import Box, Json, When, template
from manifests.yaml import STRICT

MAX_PAGE_ITEMS = 10_000
PLACES = frozenset({"collection", "id", "key", "file", "year", "month", "day"})

Scheme = Literal["https", "http", "s3"]


class StacOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    catalog: PathBelow | None = None
    """A catalogue, collection or list of items to read instead of a search, by its path below the url."""
    collections: tuple[str, ...] = ()
    """The collections wanted; a search needs collections or ids."""
    ids: tuple[str, ...] = ()
    """The items wanted, by their ids."""
    bbox: Box = ()
    """The box that items must touch: [west, south, east, north] in degrees."""
    datetime: When = ""
    """When items were taken: 2024-01-01/2024-06-30, 2024-01-01/.., or P30D for the last thirty days."""
    filter: Json = ""
    """A CQL2 filter for the search, as text or as JSON."""
    query: Json = ""
    """A filter of the older query extension, as in {"eo:cloud_cover": {lt: 10}}."""
    method: Literal["POST", "GET"] = "POST"
    """The method of the search; GET for servers that support no other."""
    page: Annotated[Count, Field(ge=1, le=MAX_PAGE_ITEMS)] = 250
    """Items per request."""
    assets: tuple[str, ...] = ()
    """Keys of the assets wanted, or globs of them; by default all but web pages."""
    roles: tuple[str, ...] = ()
    """Roles of wanted assets, as in data, metadata, thumbnail."""
    types: tuple[str, ...] = ()
    """Media types of wanted assets, or globs of them, as in image/tiff*."""
    prefer: tuple[Scheme, ...] = ("https", "http", "s3")
    """The kinds of url to download from, the preferred one first; others are not used."""
    path: Annotated[str, template(PLACES, "id", "file|key")] = ""
    """The path of an asset in the copy: {collection}, {id}, {key}, {file}, {year}, {month}, {day}."""
    items: Flag = False
    """Mirror each item's own JSON too, beside its assets."""
    collection_assets: Flag = False
    """Mirror the assets of a catalogue's collections too."""

    @property
    def is_search(self) -> bool:
        """Return True if the server selects the items."""
        return not self.catalog

    @property
    def template(self) -> str:
        """Return the path of an asset, with the collection if there may be several."""
        return self.path or ("{id}/{file}" if len(self.collections) == 1 else "{collection}/{id}/{file}")

    @model_validator(mode="after")
    def _validate(self) -> Self:
        if self.catalog and (self.filter or self.query):
            raise InvalidValue(
                message("has a filter, which a static catalogue cannot apply"),
                message("delete filter and query, or catalog"),
            )
        if not self.catalog and not self.collections and not self.ids:
            raise InvalidValue(
                message("names neither collections nor ids"), message("name the collections wanted, or a catalog")
            )
        return self
