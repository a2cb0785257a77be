from . import headers as headers
from .client import open_client as open_client
from .ports import HttpAnswer as HttpAnswer, HttpClient as HttpClient
from .request_body import RequestBody as RequestBody, length_of as length_of, pieces_of as pieces_of
