"""A proxy on 127.0.0.1 that returns the responses of a later version of the service.

Each object has one more member. Order statuses, error codes, the places of violations and the
reasons of the readiness check are values that the OpenAPI document does not list.
"""

from __future__ import annotations

import json
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MEMBER = "added_later"
STATUS = "ADDED_LATER"
CODE = "added_later"
PLACE = "cookie"
REASON = "not ready: added later"


def of_later_version(value):
    if isinstance(value, list):
        return [of_later_version(element) for element in value]
    if not isinstance(value, dict):
        return value
    later = {name: of_later_version(member) for name, member in value.items()}
    if "id" in later:
        later["status"] = STATUS
    if "code" in later:
        later |= {"code": CODE, "type": f"urn:order-api:problem:{CODE}"}
    if "in" in later:
        later["in"] = PLACE
    return later | {MEMBER: {"list": [1, None]}}


class LaterVersion:
    """The proxy, in a thread. It listens while it is a context."""

    def __init__(self, address: str):
        class Handler(BaseHTTPRequestHandler):
            def forward(self):
                length = int(self.headers.get("Content-Length", 0))
                service = HTTPConnection(address, timeout=20)
                headers = {
                    name: value
                    for name, value in self.headers.items()
                    if name.lower() not in ("host", "connection", "accept-encoding")
                }
                service.request(self.command, self.path, self.rfile.read(length), headers)
                response = service.getresponse()
                status, body = response.status, json.loads(response.read())
                if self.path == "/readyz":
                    status, body = 503, {"error": REASON}
                body = json.dumps(of_later_version(body)).encode()
                self.send_response(status)
                self.send_header("Content-Type", response.headers["Content-Type"])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                service.close()

            do_GET = do_POST = do_PATCH = forward

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
