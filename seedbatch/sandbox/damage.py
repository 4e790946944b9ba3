"""What a fault does to an answer on the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from seedbatch.sandbox.faults import Fault

Answer = tuple[int, dict[str, Any]]  # the HTTP status and the envelope

_HTML: Final = "<!doctype html><html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"
_SLOW_STEPS: Final = 20
_PARTIAL: Final = ("model", "prompt")
# Ours, for aiohttp's table is older than WebP.
_TYPES: Final = {".mp4": "video/mp4", ".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}
REDIRECTED: Final = "redirected"


def envelope(code: int, message: str, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The provider's envelope; `data` is absent where there is none."""
    return {"code": code, "msg": message} | ({} if data is None else {"data": dict(data)})


async def answer_api(
    fault: Fault | None, request: web.Request, answer: Callable[[], Awaitable[Answer]]
) -> web.StreamResponse:
    """Answer a submit or a query, with the fault; `answer` does the real work and is not called where it is lost."""
    if fault is None:
        return _json(*await answer())
    match fault.kind:
        case "cut-before-accept" | "cut":
            return _cut(request)
        case "cut-after-accept":
            await answer()
            return _cut(request)
        case "contradict":
            _, body = await answer()
            return _json(400, body)
        case "delay":
            whole = await answer()
            await asyncio.sleep(fault.seconds)
            return _json(*whole)
        case "truncated-json":
            status, body = await answer()
            text = json.dumps(body)
            return web.Response(status=status, text=text[: len(text) * 2 // 3], content_type="application/json")
        case "sparse" | "late-result" | "partial-echo" | "extra-fields" | "whole-seconds" | "nanoseconds":
            status, body = await answer()
            return _json(status, _reshaped(fault.kind, body))
        case _:
            return _instead(fault, request)


async def answer_file(fault: Fault | None, request: web.Request, file: Path) -> web.StreamResponse:
    """Answer a download, with the fault."""
    if fault is None:
        return web.FileResponse(file, headers={"Content-Type": _TYPES[file.suffix]})
    match fault.kind:
        case "cut":
            return _cut(request)
        case "truncated":
            return await _truncated(request, file)
        case "slow":
            return await _slow(request, file, fault.seconds)
        case "html":
            return web.Response(text=_HTML.format("Sign in"), content_type="text/html")
        case "redirect":
            return _redirect(request, 302)
        case kind:
            return web.Response(status=int(kind), text=_HTML.format(kind), content_type="text/html")


def _instead(fault: Fault, request: web.Request) -> web.StreamResponse:
    """The answers that replace the real one: nothing was done."""
    wait = {"Retry-After": f"{fault.seconds:g}"}
    match fault.kind:
        case "401":
            return _json(401, envelope(401, "unauthorized"))
        case "404":
            return _json(404, envelope(404, "task not found"))
        case "429":
            return _json(429, envelope(429, "too many requests"))
        case "429-retry-after":
            return _json(429, envelope(429, "too many requests"), wait)
        case "500":
            return _json(500, envelope(500, "internal server error"))
        case "502-html":
            return web.Response(status=502, text=_HTML.format("502 Bad Gateway"), content_type="text/html")
        case "503-retry-after":
            return _json(503, envelope(503, "service unavailable"), wait)
        case "code-400-in-200":
            return _json(200, envelope(400, "the request could not be processed"))
        case "redirect-307":
            return _redirect(request, 307)
        case kind:
            raise ValueError(f"no such fault: {kind}")


def _json(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=status, headers=headers)


def _redirect(request: web.Request, status: int) -> web.Response:
    # The mark spares the second request: one redirect, and not a circle of them.
    location = request.rel_url.update_query({REDIRECTED: "1"})
    return web.Response(status=status, headers={"Location": str(location)})


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _truncated(request: web.Request, file: Path) -> web.StreamResponse:
    content = await asyncio.to_thread(file.read_bytes)
    response = await _begin(request, file, len(content))
    await response.write(content[: len(content) // 2])
    if request.transport is not None:
        request.transport.close()  # unlike abort, sends what was written
    return response


async def _slow(request: web.Request, file: Path, seconds: float) -> web.StreamResponse:
    content = await asyncio.to_thread(file.read_bytes)
    response = await _begin(request, file, len(content))
    step = max(1, -(-len(content) // _SLOW_STEPS))
    for start in range(0, len(content), step):
        await response.write(content[start : start + step])
        await asyncio.sleep(seconds / _SLOW_STEPS)
    return response


async def _begin(request: web.Request, file: Path, length: int) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_type = _TYPES[file.suffix]
    response.content_length = length
    await response.prepare(request)
    return response


def _reshaped(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """A documented variant of a query's answer; anything but a task stays as it is."""
    if "status" not in body.get("data", {}):
        return body
    data = dict(body["data"])
    match kind:
        case "sparse":
            data = {name: value for name, value in data.items() if value is not None}
        case "late-result":
            data["result"] = None
        case "partial-echo":
            data["input"] = {name: data["input"][name] for name in _PARTIAL if name in data["input"]}
        case "extra-fields":
            data |= {"progress": 50, "queue": {"position": None}}
            body = {**body, "request_id": "req_1"}
        case "whole-seconds":
            data |= {name: f"{data[name][:19]}Z" for name in ("created_at", "updated_at")}
        case "nanoseconds":
            data |= {name: f"{data[name][:-1]}000Z" for name in ("created_at", "updated_at")}
    return {**body, "data": data}
