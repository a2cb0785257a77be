from . import schemas as schemas
from .audit_routes import chosen as chosen
from .auth.accepted_terms import AcceptedTerms as AcceptedTerms
from .auth.oidc import CALLBACK as CALLBACK, FLOW_COOKIE as FLOW_COOKIE, FLOW_LASTS as FLOW_LASTS, SignIn as SignIn
from .auth.sessions import COOKIE as COOKIE, LASTS as LASTS
from .auth.signed_urls import (
    LONGEST_LIFE as LONGEST_LIFE,
    UrlGrant as UrlGrant,
    UrlKeys as UrlKeys,
    UrlRefused as UrlRefused,
    mark_form as mark_form,
    sign_url as sign_url,
    verify_form as verify_form,
    verify_url as verify_url,
)
from .auth.tokens import SHORTEST as SHORTEST, Tokens as Tokens, make_token as make_token, scrypt as scrypt
from .connections import IDLE as IDLE, ConnectionLimit as ConnectionLimit, server_log as server_log
from .context import BACK as BACK, VISITOR as VISITOR, ApiContext as ApiContext, Metrics as Metrics
from .control_socket import CONTROL_SOCKET as CONTROL_SOCKET, bound_socket as bound_socket
from .errors import HttpError as HttpError, http_error as http_error
from .responders import check as check, decide as decide
from .routes import Call as Call, Route as Route, Site as Site
from .server import RunningServer as RunningServer, serving as serving
