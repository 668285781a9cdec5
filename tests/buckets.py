"""A real S3 server, and in front of it a proxy that has the faults that buckets have."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers and body."""


@dataclass
class Fault:
    """What happens to requests whose line, like ``GET /shop/in/car/01.jpg``, matches."""

    line: str
    """A regular expression."""
    does: Callable[[Answer], Answer | None]
    """From the server's answer to the proxy's; ``None`` hangs up in the middle of the body."""
    times: int
    reaches_the_server: bool = True


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a server, as far as no fault strikes."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = port
        self.faults: list[Fault] = []
        self.log: list[str] = []
        """The lines of all requests that were answered well, in order."""
        self.lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hangs up is part of the test."""

    def fault(self, line: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times and re.search(fault.line, line):
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        line = f"{self.command} {unquote(self.path)}"
        fault = self.server.fault(line)
        answer: Answer = (200, {}, b"")
        if fault is None or fault.reaches_the_server:
            answer = self._asked(body)
        changed = fault.does(answer) if fault else answer
        if changed is None:
            self._send(answer, answer[2][: len(answer[2]) // 2])
            self.close_connection = True
            return
        if changed[0] < 300:
            self.server.log.append(line)
        self._send(changed, changed[2])

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on  # noqa: N815

    def _asked(self, body: bytes) -> Answer:
        headers = {k: v for k, v in self.headers.items() if k.lower() != "expect"}
        server = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=30)
        with closing(server) as connection:
            connection.request(self.command, self.path, body, headers)
            got = connection.getresponse()
            return got.status, dict(got.getheaders()), got.read()

    def _send(self, answer: Answer, body: bytes) -> None:
        status, headers, whole = answer
        self.send_response(status)
        length = headers.get("Content-Length", str(len(whole)))
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@dataclass
class Shop:
    """One bucket on the server, with nothing in it at first."""

    name: str
    proxy: Proxy
    environment: dict[str, str]
    """What a program needs to reach the bucket through the proxy."""
    _fs: Any = field(repr=False)

    def url(self, folder: str) -> str:
        return f"s3://{self.name}/{folder}"

    def put(self, path: str, data: bytes) -> None:
        """Writes an object, past the proxy."""
        self._fs.pipe_file(f"{self.name}/{path}", data)

    def read(self, path: str) -> bytes:
        return bytes(self._fs.cat_file(f"{self.name}/{path}"))

    def info(self, path: str) -> dict[str, Any]:
        return dict(self._fs.info(f"{self.name}/{path}"))

    def remove(self, path: str) -> None:
        self._fs.rm_file(f"{self.name}/{path}")

    def paths(self, folder: str) -> set[str]:
        """What lies below a folder."""
        found = self._fs.find(f"{self.name}/{folder}")
        return {name.removeprefix(f"{self.name}/{folder}/") for name in found}

    def asked(self, line: str) -> list[str]:
        """The requests to this bucket since the last call of :meth:`forget` that match and were
        answered well; another test's program may still write to its own."""
        ours = re.compile(rf" /{self.name}\b")
        return [each for each in self.proxy.log if ours.search(each) and re.search(line, each)]

    def forget(self) -> None:
        self.proxy.log.clear()

    def refuse(self, line: str, status: int, code: str, *, times: int = 10**6) -> Fault:
        """The next requests that match are answered with an error of S3."""
        xml = f"<Error><Code>{code}</Code><Message>{code}, says the server</Message></Error>"
        error = status, {"Content-Type": "application/xml"}, xml.encode()
        return self._strike(line, lambda _: error, times, reaches_the_server=False)

    def cut(self, line: str, *, times: int = 1) -> Fault:
        """The connection breaks in the middle of the answer."""
        return self._strike(line, lambda _: None, times)

    def shorten(self, line: str, *, times: int = 1) -> Fault:
        """Half of the content comes, and pretends to be all."""

        def halve(answer: Answer) -> Answer:
            status, headers, body = answer
            half = body[: len(body) // 2]
            return status, _plain(headers) | {"Content-Length": str(len(half))}, half

        return self._strike(line, halve, times)

    def damage(self, line: str, *, times: int = 1) -> Fault:
        """One bit of the content is another."""

        def flip(answer: Answer) -> Answer:
            status, headers, body = answer
            return status, _plain(headers), body[:-1] + bytes([body[-1] ^ 1])

        return self._strike(line, flip, times)

    def hide(self, key: str, *, times: int = 10**6) -> Fault:
        """Listings leave out the objects whose key ends like this."""

        def without(answer: Answer) -> Answer:
            status, headers, body = answer
            entry = rb"<Contents>(?:(?!</Contents>).)*?<Key>[^<]*%s</Key>.*?</Contents>"
            left = re.sub(entry % re.escape(key.encode()), b"", body, flags=re.DOTALL)
            return status, _plain(headers), left

        return self._strike(r"GET .*list-type=2", without, times)

    def swallow(self, line: str, *, times: int = 1) -> Fault:
        """The server says that it has done it, and has not."""
        return self._strike(line, lambda _: (200, {}, b""), times, reaches_the_server=False)

    def other_etags(self) -> Fault:
        """ETags look like digests and are none, as with some kinds of encryption."""

        def replace(answer: Answer) -> Answer:
            status, headers, body = answer
            headers = {k: _other(v) if k.lower() == "etag" else v for k, v in headers.items()}
            headers = _plain(headers) if body else headers
            tag = re.compile(r"(?<=<ETag>).*?(?=</ETag>)")
            if b"<ETag>" in body:
                body = tag.sub(lambda found: _other(found[0]), body.decode()).encode()
            return status, headers, body

        return self._strike("^(GET|HEAD)", replace, 10**6)

    def hold(self, line: str) -> threading.Event:
        """The next request that matches gets no answer; the event is set when it has come."""
        came = threading.Event()

        def wait(answer: Answer) -> Answer:
            came.set()
            time.sleep(60)
            return answer

        self._strike(line, wait, 1, reaches_the_server=False)
        return came

    def mend(self) -> None:
        """No fault strikes any more."""
        self.proxy.faults.clear()

    def _strike(
        self,
        line: str,
        does: Callable[[Answer], Answer | None],
        times: int,
        *,
        reaches_the_server: bool = True,
    ) -> Fault:
        fault = Fault(line, does, times, reaches_the_server)
        self.proxy.faults.append(fault)
        return fault


def _plain(headers: dict[str, str]) -> dict[str, str]:
    """Without what the library would find a changed content by: not every server sends it."""
    return {
        k: v
        for k, v in headers.items()
        if not k.lower().startswith("x-amz-checksum") and k.lower() != "content-length"
    }


def _other(etag: str) -> str:
    digits = re.sub("[^0-9a-f]", "", etag.replace("&quot;", "").lower())
    return f'"{digits[::-1]}"'


@contextmanager
def serving_buckets() -> Iterator[Proxy]:
    """A server with a proxy in front of it, while the block runs."""
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    proxy = Proxy(server.get_host_and_port()[1])
    thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
    thread.start()
    yield proxy
    proxy.shutdown()
    thread.join()
    proxy.server_close()
    server.stop()


def open_shop(proxy: Proxy, name: str) -> Shop:
    """A new bucket of this name."""
    import fsspec

    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    quick = {"AWS_MAX_ATTEMPTS": "1", "AWS_DEFAULT_REGION": "us-east-1"}
    endpoint = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.server_port}"}
    fs = fsspec.filesystem(
        "s3",
        key="key",
        secret="secret",
        endpoint_url=f"http://127.0.0.1:{proxy.behind}",
        use_listings_cache=False,
        client_kwargs={"region_name": "us-east-1"},
    )
    fs.call_s3("create_bucket", Bucket=name)
    proxy.faults.clear()
    proxy.log.clear()
    return Shop(name, proxy, keys | quick | endpoint, fs)
