from .body_wrapper import BodyWrapper as BodyWrapper
from .content_coding import DecodedBody as DecodedBody, is_decoded as is_decoded
from .derived_files import (
    SCHEME as SCHEME,
    WAITING as WAITING,
    Spool as Spool,
    open_derived as open_derived,
)
from .documents import (
    IN_MEMORY as IN_MEMORY,
    check_request as check_request,
    fetch as fetch,
    open_request as open_request,
    read_into_spool as read_into_spool,
)
from .resumable_body import ResumableBody as ResumableBody
from .thread_copy import copy_to_sink as copy_to_sink, copy_to_sink_in_step as copy_to_sink_in_step
