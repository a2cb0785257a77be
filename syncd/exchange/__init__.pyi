from . import (
    dcat as dcat,
    feeds as feeds,
    iso19139 as iso19139,
    metalink as metalink,
    oai as oai,
    resourcesync as resourcesync,
    schema_org as schema_org,
    sitemap as sitemap,
    stac as stac,
)
from .dataset_report import METRICS as METRICS, DatasetCount as DatasetCount, dataset_report as dataset_report
from .exports import EXPORTS as EXPORTS
from .formats import DOCUMENTS as DOCUMENTS, DocumentFormat as DocumentFormat
from .from_manifest import public_address as public_address, publication_of as publication_of
from .key_rotation import (
    begin_chain as begin_chain,
    chain_text as chain_text,
    current_keys as current_keys,
    next_chain as next_chain,
)
from .keys import (
    SecretKey as SecretKey,
    chain_path as chain_path,
    parse_secret_key as parse_secret_key,
    public_text as public_text,
    write_secret_key as write_secret_key,
)
from .licences import Licence as Licence, licence_of as licence_of
from .listed_mirrors import (
    ListedMirror as ListedMirror,
    entries_of as entries_of,
    update_listed as update_listed,
)
from .markup import json_document as json_document, json_in_html as json_in_html
from .oai_entries import OaiEntry as OaiEntry, entry_of as entry_of
from .publication import (
    FEW_FILES as FEW_FILES,
    Agent as Agent,
    DatasetIdentifier as DatasetIdentifier,
    Node as Node,
    Publication as Publication,
    PublishedFile as PublishedFile,
    PublishedVersion as PublishedVersion,
    version_of as version_of,
)
from .resourcesync import PublishedChange as PublishedChange
