"""Inference over HTTP: `POST /predict` with the bytes of a photo returns JSON; `GET /health`.

A small Starlette application instead of `mlflow models serve` (which works with the same model): MLflow's server
needs the photo as base64 in JSON, reads a body of any size into memory, and runs as many predictions in parallel as
it gets requests. Here the photo is the body, the body's size is limited, and one prediction runs at a time. A limited
number of requests hold a slot, that is, have their photo in memory; the next ones wait, unread, for a slot.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fashionseg.data.jpeg import PhotoError
from fashionseg.errors import UserError

Detect = Callable[[bytes], dict[str, Any]]


@dataclass(frozen=True)
class Limits:
    """Limits of the server.

    Attributes:
        max_bytes: size of a body.
        at_once: requests whose photos are in memory, including the running one.
        max_waiting: further requests that wait for a slot; requests beyond these get 503 immediately.
        wait_seconds: how long a request waits for a slot before it gets 503.
        upload_seconds: how long an upload may take, so that a stalled client does not keep its slot.
    """

    max_bytes: int = 32 << 20
    at_once: int = 8
    max_waiting: int = 64
    wait_seconds: float = 60.0
    upload_seconds: float = 30.0


def make_app(detect: Detect, version: str, limits: Limits) -> Starlette:
    """The Starlette application.

    Args:
        detect: returns the response for the bytes of a photo; raises PhotoError.
        version: version of the model, for `/health`.
    """
    one_at_a_time = anyio.CapacityLimiter(1)  # one prediction uses all cores
    slots = anyio.CapacityLimiter(limits.at_once)

    async def predict(request: Request) -> Response:
        async with _slot(slots, limits):
            data = await _read_body(request, limits.max_bytes, limits.upload_seconds)
            try:
                answer = await anyio.to_thread.run_sync(detect, data, limiter=one_at_a_time)
            except PhotoError as error:
                raise HTTPException(400, str(error)) from None
        return JSONResponse(answer)

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": version})

    return Starlette(
        routes=[Route("/predict", predict, methods=["POST"]), Route("/health", health)],
        # DNS rebinding: a web page whose host name resolves to 127.0.0.1 must not reach the server through a browser.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
        exception_handlers={HTTPException: _error, Exception: _fault},
    )


def listen(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1 only: the server has no authentication.

    Args:
        port: 0 for any free port.

    Raises:
        UserError: the port is in use, out of range or forbidden.
    """
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise UserError(f"--port {port}: {os.strerror(error.errno or 0)}") from None
    except OverflowError as error:
        raise UserError(f"--port {port}: {error}") from None


def run_server(app: Starlette, listener: socket.socket) -> None:
    """Serves until SIGTERM or Ctrl-C; running requests are answered first."""
    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none")
    with contextlib.suppress(KeyboardInterrupt):  # Uvicorn shuts down, then raises the signal again
        uvicorn.Server(config).run(sockets=[listener])


@contextlib.asynccontextmanager
async def _slot(slots: anyio.CapacityLimiter, limits: Limits) -> AsyncIterator[None]:
    """One of the slots, after a wait in a bounded queue."""
    busy = HTTPException(503, "busy, try again", {"Retry-After": "2"})
    if slots.available_tokens < 1 and slots.statistics().tasks_waiting >= limits.max_waiting:
        raise busy
    try:
        with anyio.fail_after(limits.wait_seconds):
            await slots.acquire()
    except TimeoutError:
        raise busy from None
    try:
        yield
    finally:
        slots.release()


async def _read_body(request: Request, max_bytes: int, seconds: float) -> bytes:
    """The request body; a body over the limit is refused before it is read to the end."""
    too_long = HTTPException(413, f"expected a photo of at most {max_bytes} bytes", {"Connection": "close"})
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise too_long
    body = bytearray()
    try:
        with anyio.fail_after(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise too_long
    except TimeoutError:
        raise HTTPException(408, "the photo did not arrive in time", {"Connection": "close"}) from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection closed before the photo was complete") from None
    if not body:
        raise HTTPException(400, "expected the bytes of a photo, got an empty body")
    return bytes(body)


def _error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def _fault(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the model failed on this photo"}, 500)
