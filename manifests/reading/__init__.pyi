from .arrow import orc_batches as orc_batches, parquet_batches as parquet_batches
from .buckets import refuse_bucket as refuse_bucket
from .checksum_lists import ListPath as ListPath, is_own as is_own, listing as listing, own as own
from .completeness import (
    CompletenessProof as CompletenessProof,
    PageChain as PageChain,
    SkippedEntries as SkippedEntries,
)
from .document import (
    MAX_MADE as MAX_MADE,
    CountNotReached as CountNotReached,
    Cursor as Cursor,
    Deleted as Deleted,
    DerivedFile as DerivedFile,
    Document as Document,
    DocumentError as DocumentError,
    DocumentRequest as DocumentRequest,
    FirstFound as FirstFound,
    FollowMemory as FollowMemory,
    FollowsNode as FollowsNode,
    Found as Found,
    Gap as Gap,
    HeadFound as HeadFound,
    ListedEntry as ListedEntry,
    Reader as Reader,
    ReaderWarning as ReaderWarning,
    Resumable as Resumable,
    Selected as Selected,
    Selective as Selective,
    Sparse as Sparse,
    is_native as is_native,
)
from .download_names import (
    dataset_folder as dataset_folder,
    download_names as download_names,
    link_name as link_name,
)
from .encodings import (
    RecodedStream as RecodedStream,
    encoding_of as encoding_of,
    recoded as recoded,
    text_encoding as text_encoding,
)
from .filters import (
    Box as Box,
    Json as Json,
    Span as Span,
    When as When,
    days as days,
    meets as meets,
    read_until as read_until,
    span as span,
    template as template,
)
from .json_fields import (
    MAX_SIZE as MAX_SIZE,
    absolute as absolute,
    are_digests as are_digests,
    below as below,
    dig as dig,
    digests as digests,
    folders as folders,
    is_plain_url as is_plain_url,
    moment as moment,
    next_link as next_link,
    page_url as page_url,
    read_json as read_json,
    size as size,
    text as text,
    verbatim as verbatim,
)
from .json_ld import (
    Node as Node,
    NodeGraph as NodeGraph,
    literal as literal,
    local_name as local_name,
    types as types,
)
from .other_formats import reader_of as reader_of, refuse_other_format as refuse_other_format
from .packed import is_packed as is_packed, unpacked as unpacked
from .parameters import Parameters as Parameters
from .reader import (
    ANY as ANY,
    GROUP as GROUP,
    WEB as WEB,
    NoOptions as NoOptions,
    ReaderKind as ReaderKind,
    ReaderSource as ReaderSource,
    built_in as built_in,
    chosen as chosen,
    installed as installed,
)
from .stat_page import Stats as Stats, paths_of as paths_of
from .url_paths import (
    decoded as decoded,
    encoded_urls as encoded_urls,
    folder_of as folder_of,
    is_remote as is_remote,
    placed as placed,
)
from .xml import (
    Doctype as Doctype,
    XmlElement as XmlElement,
    XmlError as XmlError,
    XmlTarget as XmlTarget,
    elements as elements,
    events as events,
    parse_document as parse_document,
    parse_xml as parse_xml,
    xml_events as xml_events,
    xml_tree as xml_tree,
)
