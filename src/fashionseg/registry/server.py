"""Photos over HTTP: `POST /predict` with the bytes of a photo, JSON back; `GET /health`.

Our own few lines of Starlette rather than `mlflow models serve` (which works with the same model): MLflow's server
wants the photo as base64 inside JSON, reads a body of any size into memory, and starts as many predictions as it gets
requests. Here a photo is the body itself, a body has a limit, and one prediction runs at a time. A few requests have a
place, that is their photo in memory; others wait for one, unread, some time. Starlette and Uvicorn come with MLflow.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

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
    """What a server takes.

    Attributes:
        max_bytes: of a body.
        at_once: requests whose photos are in memory, the running one included.
        max_waiting: requests beyond those, which wait for a place; one more is told at once to come again.
        wait_seconds: how long one waits before it is told so too.
        upload_seconds: a client that sends nothing must not keep a place.
    """

    max_bytes: int = 32 << 20
    at_once: int = 8
    max_waiting: int = 64
    wait_seconds: float = 60.0
    upload_seconds: float = 30.0


def make_app(detect: Detect, version: str, limits: Limits) -> Starlette:
    """The application.

    Args:
        detect: photo bytes to the answer; raises PhotoError.
        version: of the model, for `/health`.
    """
    one_at_a_time = anyio.CapacityLimiter(1)  # the network itself uses all cores
    places = _Places(limits)

    async def predict(request: Request) -> Response:
        async with places.one():
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
        # A web page that gives its own name the address 127.0.0.1 must not reach the server through a browser.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
        exception_handlers={HTTPException: _error, Exception: _fault},
    )


def listen(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1, and there only: whoever reaches the server may use the machine's time.

    Args:
        port: 0 for a free one.

    Raises:
        UserError: the port is taken, or not ours to take.
    """
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise UserError(f"--port {port}: {os.strerror(error.errno or 0)}") from None
    except OverflowError as error:
        raise UserError(f"--port {port}: {error}") from None


def run_server(app: Starlette, listener: socket.socket) -> None:
    """Answers until SIGTERM or Ctrl-C; requests under way are answered first."""
    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none")
    with contextlib.suppress(KeyboardInterrupt):  # Uvicorn ends in order, then sends itself the signal again
        uvicorn.Server(config).run(sockets=[listener])


class _Places:
    """Room for `at_once` requests, and a queue before it that has an end."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._free = asyncio.Semaphore(limits.at_once)
        self._waiting = 0

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        busy = HTTPException(503, "busy, try again", {"Retry-After": "2"})
        if self._free.locked() and self._waiting >= self._limits.max_waiting:
            raise busy
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limits.wait_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise busy from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()


async def _read_body(request: Request, max_bytes: int, seconds: float) -> bytes:
    """The body, refused as soon as it is known to be too long."""
    too_long = HTTPException(413, f"expected a photo of at most {max_bytes} bytes", {"Connection": "close"})
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise too_long
    except TimeoutError:
        raise HTTPException(408, "the photo did not arrive in time", {"Connection": "close"}) from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection ended before the photo did") from None
    if not body:
        raise HTTPException(400, "expected the bytes of a photo, got an empty body")
    return bytes(body)


def _error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def _fault(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the model failed on this photo"}, 500)
