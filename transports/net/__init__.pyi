from . import urls as urls
from .network import Network as Network, open_network as open_network, usual_ssl_context as usual_ssl_context
from .redirects import MAX_HOPS as MAX_HOPS, STATUSES as STATUSES, next_hop as next_hop
from .skipped import (
    NOWHERE as NOWHERE,
    SPECIAL as SPECIAL,
    TO_FOLDERS as TO_FOLDERS,
    UNKNOWN as UNKNOWN,
    SkippedNames as SkippedNames,
)
from .socket_policy import (
    SocketPolicy as SocketPolicy,
    connection_error as connection_error,
    current as current,
    make_socket as make_socket,
    one_line as one_line,
    valid_until as valid_until,
)
from .stall import StallDetector as StallDetector
from .tree_walk import (
    PAGE as PAGE,
    Listing as Listing,
    Selection as Selection,
    ServerTree as ServerTree,
    UnlistedFolders as UnlistedFolders,
    check_count as check_count,
    check_unchanged as check_unchanged,
    read_stop as read_stop,
    walk_tree as walk_tree,
)
from .tunnel import (
    basic_credentials as basic_credentials,
    open_tunnel as open_tunnel,
    proxy_refusal as proxy_refusal,
)
