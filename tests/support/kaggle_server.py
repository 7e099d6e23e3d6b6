"""A loopback server that speaks what Kaggle's client 2.2.4 asks for, and serves files that can be cut short.

Endpoints: POST v1/competitions.CompetitionApiService/{DownloadDataFiles, StartSubmissionUpload, CreateSubmission,
ListSubmissions},
the redirected GET of the archive with ETag and Range, and the PUT of a submission.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SERVICE = "/v1/competitions.CompetitionApiService/"
LAST_MODIFIED = "Tue, 30 Apr 2019 12:00:00 GMT"


class KaggleServer(ThreadingHTTPServer):
    """Set the attributes to make it fail; read `ranges` and `submissions` afterwards."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.username, self.key = "someone", "0123456789abcdef"
        self.files: dict[str, bytes] = {}  # by path: "/files/competition.zip"
        self.competition = "fashion"
        self.rules_accepted = True
        self.ignores_ranges = False
        self.cuts: list[int] = []  # bytes after which the next downloads break off
        self.refusals: list[int] = []  # statuses for the next downloads
        self.upload_status = 200
        self.ranges: list[str | None] = []  # Range header of each download
        self.uploads: list[bytes] = []
        self.submissions: list[dict] = []
        self.answer: dict = {"message": "Successfully submitted to Fashion", "ref": 17}  # of CreateSubmission
        self.create_status = 200
        # What a new submission is listed as, one after the other; the last one stays. Empty: it is not listed.
        self.listings: list[dict] = [{"status": "COMPLETE", "publicScore": "0.1234"}]
        self.lists_until: int | None = None  # number of listings after which the server hangs up
        self.num_listings = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up early is no news."""


class Handler(BaseHTTPRequestHandler):
    server: KaggleServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        request = json.loads(self.rfile.read(length) or b"{}")
        login = f"{self.server.username}:{self.server.key}".encode()
        if self.headers.get("Authorization") != f"Basic {base64.b64encode(login).decode()}":
            return self._error(401, "Unauthenticated")
        if request.get("competitionName") != self.server.competition:
            return self._error(404, "Not found")
        if not self.server.rules_accepted:
            return self._error(403, "You must accept this competition's rules before you can continue")
        match self.path.removeprefix(SERVICE):
            case "DownloadDataFiles":
                self.send_response(302)
                self.send_header(
                    "Location", f"{self.server.url}/files/{self.server.competition}.zip?signed=1"
                )
                self.send_header("Content-Length", "0")
                self.end_headers()
            case "StartSubmissionUpload":
                self._json(200, {"token": "blob-1", "createUrl": f"{self.server.url}/upload"})
            case "CreateSubmission":
                if self.server.create_status != 200:
                    return self._error(self.server.create_status, self.server.answer["message"])
                self.server.submissions.append(request)
                self._json(200, self.server.answer)
            case "ListSubmissions":
                self._list_submissions()
            case _:
                self._error(404, self.path)
        return None

    def _list_submissions(self) -> None:
        server = self.server
        server.num_listings += 1
        if server.lists_until is not None and server.num_listings > server.lists_until:
            self.close_connection = True
            return
        listed = [{"ref": 3, "status": "COMPLETE", "publicScore": "0.05"}]  # of before
        if server.submissions and server.listings:
            newest = server.listings.pop(0) if len(server.listings) > 1 else server.listings[0]
            listed.insert(0, {"ref": 17, **newest})
        self._json(200, {"submissions": listed})

    def do_PUT(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.uploads.append(body)
        self._json(self.server.upload_status, {})

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.ranges.append(asked)
        content = server.files.get(self.path.split("?")[0])
        if content is None:
            return self._error(404, "Not found")
        if server.refusals:
            return self._error(server.refusals.pop(0), "Not now")
        start = 0 if asked is None or server.ignores_ranges else int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(content):
            return self._error(416, "Range not satisfiable")
        partial = asked is not None and not server.ignores_ranges
        self.send_response(206 if partial else 200)
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", '"version-1"')
        self.send_header("Last-Modified", LAST_MODIFIED)
        self.end_headers()
        if server.cuts:
            self.wfile.write(content[start : start + server.cuts.pop(0)])
            self.close_connection = True
        else:
            self.wfile.write(content[start:])
        return None

    def _error(self, status: int, message: str) -> None:
        self._json(status, {"code": status, "message": message})

    def _json(self, status: int, answer: dict) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[KaggleServer]:
    """A server on a free port of the loopback address."""
    server = KaggleServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
