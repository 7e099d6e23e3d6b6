"""The HTTP server with a stand-in model: responses and refused requests."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import uvicorn

from fashionseg.data.jpeg import PhotoError
from fashionseg.registry.server import Limits, listen, make_app

MAX_BYTES = 1000
Answer = tuple[int, dict[str, Any]]


class Model:
    """Returns the number of bytes; refuses `bad`; waits on `hold` until released."""

    def __init__(self) -> None:
        self.running = threading.Event()
        self.release = threading.Event()

    def detect(self, data: bytes) -> dict[str, Any]:
        if data == b"bad":
            raise PhotoError("cut short or damaged")
        if data == b"broken":
            raise RuntimeError("in the network")
        if data == b"hold":
            self.running.set()
            assert self.release.wait(60)
        return {"bytes": len(data)}


@pytest.fixture
def model() -> Model:
    return Model()


@contextmanager
def running(model: Model, limits: Limits) -> Iterator[tuple[str, int]]:
    """Address of a running server with `model`."""
    listener = listen(0)
    app = make_app(model.detect, "3", limits)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        model.release.set()
        server.should_exit = True
        thread.join()
        listener.close()


def ask_at(
    address: tuple[str, int], method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPConnection(*address, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        text = response.read()
        is_json = response.headers["content-type"] == "application/json"
        return response.status, json.loads(text) if is_json else {}
    finally:
        connection.close()


def hold(address: tuple[str, int], count: int) -> tuple[list[threading.Thread], list[Answer]]:
    """Starts `count` clients whose requests the model holds until it is released; returns their threads and answers."""
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask_at(address, "POST", "/predict", b"hold")))
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    return threads, answers


def finish(model: Model, threads: list[threading.Thread]) -> None:
    model.release.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def address(model: Model) -> Iterator[tuple[str, int]]:
    """A running server with two slots and a queue of one."""
    limits = Limits(MAX_BYTES, at_once=2, max_waiting=1, wait_seconds=0.5, upload_seconds=0.5)
    with running(model, limits) as address:
        yield address


@pytest.fixture
def ask(address: tuple[str, int]) -> Callable[..., Answer]:
    return partial(ask_at, address)


def test_photo_is_answered_and_health_reports_the_version(ask: Callable[..., Answer]) -> None:
    assert ask("POST", "/predict", b"x" * MAX_BYTES) == (200, {"bytes": MAX_BYTES})
    assert ask("GET", "/health") == (200, {"status": "ok", "version": "3"})


@pytest.mark.fault(table="secrets", case="a body too long, of too many pixels, too slow, or not a photo")
def test_bad_photos_get_400_and_model_errors_get_500(ask: Callable[..., Answer]) -> None:
    assert ask("POST", "/predict", b"bad") == (400, {"error": "cut short or damaged"})
    assert ask("POST", "/predict", b"")[0] == 400
    assert ask("GET", "/predict")[0] == 405
    assert ask("GET", "/elsewhere")[0] == 404
    assert ask("POST", "/predict", b"broken") == (500, {"error": "the model failed on this photo"})
    assert ask("POST", "/predict", b"good") == (200, {"bytes": 4})


@pytest.mark.fault(
    table="secrets",
    case="a body too long, of too many pixels, too slow, or not a photo",
    outcome="413, 400, 408, 400",
)
def test_body_over_the_limit_is_refused_with_and_without_content_length(
    ask: Callable[..., Answer],
) -> None:
    assert ask("POST", "/predict", b"x" * (MAX_BYTES + 1))[0] == 413
    chunks = iter([b"x" * MAX_BYTES, b"x"])  # sent in chunks, without a length
    assert ask("POST", "/predict", chunks)[0] == 413


@pytest.mark.fault(
    table="secrets",
    case="other host names (a web page that names itself 127.0.0.1)",
    outcome="refused by `make serve`",
)
def test_other_host_names_are_refused(ask: Callable[..., Answer]) -> None:
    """DNS rebinding: a web page's host name can resolve to 127.0.0.1."""
    assert ask("POST", "/predict", b"x", {"Host": "example.org"})[0] == 400
    assert ask("POST", "/predict", b"x", {"Host": "localhost:5001"})[0] == 200


@pytest.mark.fault(table="secrets", case="a body too long, of too many pixels, too slow, or not a photo")
def test_stalled_upload_gets_408(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=60) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\nab")
        assert client.recv(1000).startswith(b"HTTP/1.1 408 ")


@pytest.mark.fault(table="network", case="more requests than the server takes", outcome="they wait; then 503")
def test_requests_over_the_slots_wait_and_are_answered(model: Model) -> None:
    """Sixteen clients for eight slots."""
    with running(model, Limits(MAX_BYTES)) as address:
        threads, answers = hold(address, 16)
        assert model.running.wait(60)
        finish(model, threads)
    assert answers == [(200, {"bytes": 4})] * 16


@pytest.mark.fault(table="network", case="more requests than the server takes")
def test_request_that_waited_too_long_gets_503(model: Model) -> None:
    # One slot: with more, the request could take the slot of a client that has not got it yet.
    limits = Limits(MAX_BYTES, at_once=1, max_waiting=1, wait_seconds=0.1)
    with running(model, limits) as address:
        threads, answers = hold(address, 1)
        assert model.running.wait(60)
        assert ask_at(address, "POST", "/predict", b"bad") == (503, {"error": "busy, try again"})
        assert ask_at(address, "GET", "/health")[0] == 200
        finish(model, threads)
    assert answers == [(200, {"bytes": 4})]


@pytest.mark.fault(table="network", case="more requests than the server takes")
def test_request_over_the_queue_limit_gets_503_immediately(model: Model) -> None:
    with running(model, Limits(MAX_BYTES, at_once=1, max_waiting=0, wait_seconds=3600)) as address:
        threads, answers = hold(address, 1)
        assert model.running.wait(60)
        assert ask_at(address, "POST", "/predict", b"x") == (503, {"error": "busy, try again"})
        finish(model, threads)
        assert ask_at(address, "POST", "/predict", b"x") == (200, {"bytes": 1})
    assert answers == [(200, {"bytes": 4})]
