from .connections import Connections as Connections, Exchange as Exchange
