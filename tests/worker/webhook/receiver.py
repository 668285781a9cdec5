"""A receiver on a loopback port that keeps what it hears and answers as it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = "whsec_c2l4dGVlbiBhbmdsZXMgb2YgYSBzaGlueSBjYXI="


@dataclass
class Heard:
    """What came, and what is answered; the last answer goes on for ever."""

    port: int = 0
    answers: list[int] = field(default_factory=lambda: [204])
    messages: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=hidden"


@contextmanager
def receiver() -> Iterator[Heard]:
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.messages.append(({k.lower(): v for k, v in self.headers.items()}, body))
            answer = heard.answers.pop(0) if len(heard.answers) > 1 else heard.answers[0]
            self.send_response(answer)
            if answer == 302:
                self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    heard.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
