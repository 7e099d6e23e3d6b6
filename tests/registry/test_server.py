"""The HTTP server, with a model that needs no network: what it answers, and what it refuses."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn

from fashionseg.data.photos import PhotoError
from fashionseg.registry.server import Limits, listen, make_app

MAX_BYTES = 1000
Answer = tuple[int, dict[str, Any]]


class Model:
    """Says how many bytes came; refuses `bad`; waits on `hold` until let go."""

    def __init__(self) -> None:
        self.running = threading.Event()
        self.let_go = threading.Event()

    def detect(self, data: bytes) -> dict[str, Any]:
        if data == b"bad":
            raise PhotoError("cut short or damaged")
        if data == b"broken":
            raise RuntimeError("in the network")
        if data == b"hold":
            self.running.set()
            assert self.let_go.wait(60)
        return {"bytes": len(data)}


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def address(model: Model) -> Iterator[tuple[str, int]]:
    """A running server with room for two requests and one that waits."""
    limits = Limits(MAX_BYTES, at_once=2, max_waiting=1, wait_seconds=0.5, upload_seconds=0.5)
    app = make_app(model.detect, "3", limits)
    listener = listen(0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()
    model.let_go.set()
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def ask(address: tuple[str, int]) -> Callable[..., Answer]:
    def ask(method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection(*address, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            text = response.read()
            is_json = response.headers["content-type"] == "application/json"
            return response.status, json.loads(text) if is_json else {}
        finally:
            connection.close()

    return ask


def test_a_photo_is_answered_and_health_names_the_version(ask: Callable[..., Answer]) -> None:
    assert ask("POST", "/predict", b"x" * MAX_BYTES) == (200, {"bytes": MAX_BYTES})
    assert ask("GET", "/health") == (200, {"status": "ok", "version": "3"})


def test_bad_photos_are_the_clients_fault_and_faults_of_the_model_are_not(ask: Callable[..., Answer]) -> None:
    assert ask("POST", "/predict", b"bad") == (400, {"error": "cut short or damaged"})
    assert ask("POST", "/predict", b"")[0] == 400
    assert ask("GET", "/predict")[0] == 405
    assert ask("GET", "/elsewhere")[0] == 404
    assert ask("POST", "/predict", b"broken") == (500, {"error": "the model failed on this photo"})
    assert ask("POST", "/predict", b"good") == (200, {"bytes": 4})


def test_a_body_above_the_limit_is_refused_whether_or_not_it_says_its_length(
    ask: Callable[..., Answer],
) -> None:
    assert ask("POST", "/predict", b"x" * (MAX_BYTES + 1))[0] == 413
    chunks = iter([b"x" * MAX_BYTES, b"x"])  # sent in chunks, without a length
    assert ask("POST", "/predict", chunks)[0] == 413


def test_other_names_of_the_machine_are_refused(ask: Callable[..., Answer]) -> None:
    """A web page can point its own name at 127.0.0.1."""
    assert ask("POST", "/predict", b"x", {"Host": "example.org"})[0] == 400
    assert ask("POST", "/predict", b"x", {"Host": "localhost:5001"})[0] == 200


def test_a_client_that_sends_nothing_loses_its_place(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=60) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\nab")
        assert client.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_one_too_many_is_told_to_come_again(ask: Callable[..., Answer], model: Model) -> None:
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask("POST", "/predict", b"hold"))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    assert model.running.wait(60)
    deadline = time.monotonic() + 60
    while (refused := ask("POST", "/predict", b"bad"))[0] != 503:  # until the second has its place
        assert time.monotonic() < deadline
    assert refused == (503, {"error": "busy, try again"})
    assert ask("GET", "/health")[0] == 200
    model.let_go.set()
    for thread in threads:
        thread.join()
    assert answers == [(200, {"bytes": 4})] * 2
