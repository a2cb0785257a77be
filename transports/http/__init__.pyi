from . import headers as headers
from .client import open_client as open_client
from .ports import HttpAnswer as HttpAnswer, HttpClient as HttpClient
