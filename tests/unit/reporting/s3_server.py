"""A real S3 server on this machine, which notes the requests and can be told to hold or refuse."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

_REFUSAL = b"<Error><Code>AccessDenied</Code><Message>by order</Message></Error>"


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class S3Server:
    """Serves S3 on a free port of the loopback.

    Attributes:
        requests: (method, path) of all requests since `clear`.
        refused: the end of a path whose PUT is answered with "access denied"; "" for none.
        held: set once PUTs wait, and all that `hold_after` lets pass are done.
    """

    def __init__(self) -> None:
        self._s3 = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.requests: list[tuple[str, str]] = []
        self.refused = ""
        self.held = threading.Event()
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._passing: int | None = None
        self._begun = self._done = 0

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket that everybody may use."""
        request = urllib.request.Request(f"{self.url}/{name}", method="PUT")
        with urllib.request.urlopen(request):
            self.clear()

    def clear(self) -> None:
        self.requests.clear()
        self.refused, self._passing = "", None
        self.held.clear()
        self._released.clear()

    def hold_after(self, puts: int) -> None:
        """Let so many PUTs pass and keep the others waiting, until `release` fails them."""
        self._begun, self._done, self._passing = 0, 0, puts

    def release(self) -> None:
        self._passing = None
        self._released.set()

    def puts(self, bucket: str) -> list[str]:
        """The keys that were sent to a bucket, in order, each part of a file once."""
        start = f"/{bucket}/"
        return [path[len(start) :] for method, path in self.requests if method == "PUT"]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        path = environ["PATH_INFO"].encode("latin-1").decode()  # as WSGI has it
        self.requests.append((method, path))
        put = method == "PUT"
        refused = put and self.refused and path.endswith(self.refused)
        if put and self._passing is not None:
            with self._lock:
                self._begun += 1
                waits = self._begun > self._passing
            if waits:
                self._note_held()
                self._released.wait()
                refused = True
        if refused:
            start_response("403 Forbidden", [("Content-Length", str(len(_REFUSAL)))])
            return [_REFUSAL]
        answer = self._s3(environ, start_response)
        if put:
            with self._lock:
                self._done += 1
            self._note_held()
        return answer

    def _note_held(self) -> None:
        with self._lock:
            if self._passing == self._done < self._begun:
                self.held.set()
