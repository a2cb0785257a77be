"""An upstream in a thread of the test, which answers for files only while its gate is open."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class GatedSite:
    """The files of `/one/`; while the gate is shut, a request for one waits, and `waited` is set."""

    def __init__(self, files):
        self.files = dict(files)
        self.gate, self.waited = threading.Event(), threading.Event()
        self.gate.set()
        self.origin = ""

    def answer(self, path):
        """Return the body of an answer, None if there is none."""
        name = path.removeprefix("/one/")
        if not name:
            rows = "\n".join(
                f'<a href="{one}">{one}</a>   14-Nov-2023 10:00   {len(body)}'
                for one, body in sorted(self.files.items())
            )
            page = (
                f"<html><title>Index of /one/</title><h1>Index of /one/</h1><pre><a href='../'>../</a>\n{rows}\n</pre>"
            )
            return f"{page}</html>".encode()
        if not self.gate.is_set():
            self.waited.set()
            self.gate.wait(120)
        return self.files.get(name)

    @contextmanager
    def serving(self):
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = site.answer(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
                self.send_header("Content-Length", str(len(body or b"")))
                self.send_header("Last-Modified", "Tue, 14 Nov 2023 10:00:00 GMT")
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body or b"")

            def do_HEAD(self):
                self.do_GET()

            def log_message(self, *_given):
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            self.origin = f"http://127.0.0.1:{server.server_address[1]}"
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield self
            finally:
                self.gate.set()
                server.shutdown()
                thread.join()
