"""A server on 127.0.0.1 that answers like an OpenAI-compatible endpoint, or as badly as asked."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Handler", dict[str, Any], int], None]


class Handler(BaseHTTPRequestHandler):
    """Hands each question to the server's function."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        question = json.loads(self.rfile.read(length))
        with self.server.lock:
            self.server.asked.append(question)
            self.server.keys.append(self.headers.get("authorization"))
            number = len(self.server.asked) - 1
            self.server.busy += 1
            self.server.most_busy = max(self.server.most_busy, self.server.busy)
        try:
            self.server.answer(self, question, number)
        except OSError:
            pass  # the client gave up
        finally:
            with self.server.lock:
                self.server.busy -= 1

    def send(self, body: bytes | dict[str, Any], status: int = 200, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-length": str(len(raw)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        return


class Server(ThreadingHTTPServer):
    """Counts what it was asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.lock = threading.Lock()
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.busy = self.most_busy = 0

    def handle_error(self, *_: Any) -> None:
        return

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    """Runs a server for the time of a test."""
    server = Server(answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@lru_cache(maxsize=1)
def lasting_server() -> Server:
    """Returns a server that gives good answers for as long as this process lives."""
    server = Server(upper)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    return server


def completion(text: Any, finish: str = "stop", **usage: Any) -> dict[str, Any]:
    """The JSON of an answer."""
    usage = usage or {"prompt_tokens": 11, "completion_tokens": 7}
    message = {"role": "assistant", "content": text}
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def upper(handler: Handler, question: dict[str, Any], _: int) -> None:
    """A good answer: what was asked in upper case."""
    handler.send(completion(question["messages"][-1]["content"].upper()))


def hang(_handler: Handler, _question: dict[str, Any], _number: int) -> None:
    """No answer, for longer than any test waits."""
    time.sleep(30)


def drip(handler: Handler, _question: dict[str, Any], _number: int) -> None:
    """A byte now and then, never an end."""
    handler.send_response(200)
    handler.send_header("content-length", "100000")
    handler.end_headers()
    for _ in range(300):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)
