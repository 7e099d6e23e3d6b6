"""Photos over HTTP: `POST /predict` with the bytes of a photo, JSON back; `GET /health`.

Our own few lines of Starlette rather than `mlflow models serve` (which works with the same model): MLflow's server
wants the photo as base64 inside JSON, reads a body of any size into memory, and starts as many predictions as it gets
requests. Here a photo is the body itself, a body has a limit, one prediction runs at a time, and few may wait.
Starlette and Uvicorn come with MLflow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fashionseg.data.photos import PhotoError

UPLOAD_SECONDS = 30.0  # a client that sends nothing must not keep a place

Detect = Callable[[bytes], dict[str, Any]]


def make_app(
    detect: Detect, version: str, max_bytes: int, max_waiting: int, upload_seconds: float = UPLOAD_SECONDS
) -> Starlette:
    """The application.

    Args:
        detect: photo bytes to the answer; raises PhotoError.
        version: of the model, for `/health`.
        max_bytes: of a body.
        max_waiting: requests at once, the running one included; each holds a body of `max_bytes` at most.
    """
    one_at_a_time = anyio.CapacityLimiter(1)  # the network itself uses all cores
    open_requests = 0

    async def predict(request: Request) -> Response:
        nonlocal open_requests
        if open_requests >= max_waiting:
            raise HTTPException(503, "busy, try again", {"Retry-After": "2"})
        open_requests += 1
        try:
            data = await _read_body(request, max_bytes, upload_seconds)
            answer = await anyio.to_thread.run_sync(detect, data, limiter=one_at_a_time)
        except PhotoError as error:
            raise HTTPException(400, str(error)) from None
        finally:
            open_requests -= 1
        return JSONResponse(answer)

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": version})

    return Starlette(
        routes=[Route("/predict", predict, methods=["POST"]), Route("/health", health)],
        # A web page that gives its own name the address 127.0.0.1 must not reach the server through a browser.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
        exception_handlers={HTTPException: _error, Exception: _fault},
    )


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
