"""Certificates of an authority of our own, for servers on 127.0.0.1 that are to be reached over https."""

import ssl
from pathlib import Path

import trustme


class Authority:
    def __init__(self, folder: Path):
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1", "localhost")
        self.certificate = folder / "server.pem"
        self.root = folder / "root.pem"  # for programs that are told whom to trust by SSL_CERT_FILE
        authority.cert_pem.write_to_path(self.root)
        issued.private_key_and_cert_chain_pem.write_to_path(self.certificate)
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        issued.configure_cert(self.server)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)
