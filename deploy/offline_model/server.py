"""HTTP requests of the OpenAI API in; answers of the offline model, or told misbehaviour, out.

Routes: POST /v1/chat/completions, POST /v1/embeddings, GET /v1/models, GET /health, and, for tests
only, POST /control, DELETE /control and GET /control/requests.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import socket
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from deploy.offline_model.chat import Completion, RequestError, complete
from deploy.offline_model.conversation import content_text
from deploy.offline_model.embeddings import DEFAULT_DIMENSIONS, MAX_DIMENSIONS, as_base64, vector
from deploy.offline_model.faults import Fault, Faults, altered, fault
from deploy.offline_model.text import count_tokens

KEPT_REQUESTS = 200_000
MAX_INPUTS = 2_048
HTML_PAGE = (
    "<!doctype html><html><head><title>502</title></head><body><h1>Bad gateway</h1></body></html>"
)
_log = logging.getLogger("tidemill.offline_model")


class OfflineServer:
    """The application and what it remembers: fault rules and the log of requests."""

    def __init__(
        self, latency_ms: float = 0.0, control: bool = False, log: Path | None = None
    ) -> None:
        self.latency_ms = latency_ms
        self._log_file = log.open("a") if log else None  # outlives a kill of this process
        self.faults = Faults()
        self.requests: deque[dict[str, Any]] = deque(maxlen=KEPT_REQUESTS)
        self.in_flight = self.most_in_flight = self.count = 0
        routes = [
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/embeddings", self.embeddings, methods=["POST"]),
            Route("/v1/models", self.models),
            Route("/v1/models/{model:path}", self.model),
            Route("/health", self.health),
        ]
        if control:
            routes += [
                Route("/control", self.control, methods=["POST"]),
                Route("/control", self.forget, methods=["DELETE"]),
                Route("/control/requests", self.log),
            ]
        self.app = Starlette(routes=routes)

    # -- the API -----------------------------------------------------------------------------

    async def chat(self, request: Request) -> Response:
        return await self._answer(request, "chat", self._chat)

    async def embeddings(self, request: Request) -> Response:
        return await self._answer(request, "embeddings", self._embed)

    async def models(self, _: Request) -> Response:
        listed = [_model("tidemill-offline"), _model("tidemill-offline-embedding")]
        return as_response({"object": "list", "data": listed})

    async def model(self, request: Request) -> Response:
        name = request.path_params["model"]
        rule = self.faults.due("models", name)
        if rule is not None and rule.kind == "unknown_model":
            return misbehaving(rule, {"model": name})
        return as_response(_model(name))

    async def health(self, _: Request) -> Response:
        return as_response({"status": "ok", "model": "tidemill-offline", "requests": self.count})

    async def _answer(
        self,
        request: Request,
        endpoint: str,
        make: Callable[[dict[str, Any], Fault | None], Response],
    ) -> Response:
        """Reads, logs, delays and answers one request."""
        started = time.monotonic()
        try:
            body = json.loads(await request.body())
            if not isinstance(body, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError):
            text = "We could not parse the JSON body of your request."
            return as_response(RequestError(text).as_json(), 400)
        text = _text_of(body, endpoint)
        rule = self.faults.due(endpoint, text)
        entry = self._noted(endpoint, body, text, rule)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if rule is not None and rule.replaces_response:
                await asyncio.sleep(rule.delay_s)
                response = misbehaving(rule, body)
            else:
                response = self._made(make, body, rule)
                wait_s = self.latency_ms / 1000 + (rule.delay_s if rule else 0.0)
                await asyncio.sleep(max(0.0, wait_s - (time.monotonic() - started)))
            entry["status"] = response.status_code
            return response
        finally:
            self.in_flight -= 1
            entry["finished_at"] = time.time()
            if self._log_file:
                print(json.dumps(entry), file=self._log_file, flush=True)

    def _made(
        self,
        make: Callable[[dict[str, Any], Fault | None], Response],
        body: dict[str, Any],
        rule: Fault | None,
    ) -> Response:
        try:
            return make(body, rule)
        except RequestError as error:
            return as_response(error.as_json(), error.status)
        except Exception as error:  # a server answers, whatever happens in it
            _log.exception("the offline model failed on a request")
            text = f"The offline model failed: {type(error).__name__}: {error}"
            return as_response(
                {"error": {"message": text, "type": "server_error", "code": None}}, 500
            )

    def _chat(self, body: dict[str, Any], rule: Fault | None) -> Response:
        made = complete(body)
        if rule is not None:
            self.faults.nonce += 1
            made = altered(made, rule, self.faults.nonce)
        if body.get("stream"):
            options = body.get("stream_options") or {}
            events = _events(made, bool(options.get("include_usage")))
            return StreamingResponse(events, media_type="text/event-stream")
        return as_response(made.as_json())

    def _embed(self, body: dict[str, Any], rule: Fault | None) -> Response:
        texts = _inputs(body)
        dimensions = body.get("dimensions") or DEFAULT_DIMENSIONS
        if not isinstance(dimensions, int) or not 1 <= dimensions <= MAX_DIMENSIONS:
            raise RequestError(
                f"Invalid 'dimensions': expected 1 to {MAX_DIMENSIONS}.", "dimensions"
            )
        packed = body.get("encoding_format") == "base64"
        data = []
        for number, text in enumerate(texts):
            found = vector(text, dimensions)
            data.append(
                {
                    "object": "embedding",
                    "index": number,
                    "embedding": as_base64(found) if packed else found,
                }
            )
        used = sum(count_tokens(text) for text in texts)
        usage = {"prompt_tokens": used, "total_tokens": used}
        return as_response(
            {"object": "list", "data": data, "model": body.get("model"), "usage": usage}
        )

    # -- for tests ---------------------------------------------------------------------------

    async def control(self, request: Request) -> Response:
        try:
            told = json.loads(await request.body())
            rules = [fault(one) for one in told.get("faults", [])]
            self.latency_ms = float(told.get("latency_ms", self.latency_ms))
        except (ValueError, TypeError, AttributeError) as error:
            return as_response({"error": {"message": str(error), "type": "control"}}, 400)
        self.faults.add(rules)
        return as_response({"faults": len(rules), "latency_ms": self.latency_ms})

    async def forget(self, _: Request) -> Response:
        self.reset()
        return as_response({"faults": 0})

    async def log(self, request: Request) -> Response:
        since = int(request.query_params.get("since", 0))
        found = [one for one in self.requests if one["number"] > since]
        return as_response(
            {
                "count": self.count,
                "in_flight": self.in_flight,
                "most_in_flight": self.most_in_flight,
                "requests": found,
            }
        )

    def reset(self) -> None:
        self.faults.clear()
        self.requests.clear()
        self.count = self.most_in_flight = 0

    def _noted(
        self, endpoint: str, body: dict[str, Any], text: str, rule: Fault | None
    ) -> dict[str, Any]:
        self.count += 1
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        entry: dict[str, Any] = {
            "number": self.count,
            "at": time.time(),
            "endpoint": endpoint,
            "model": body.get("model"),
            "messages_sha256": digest,
            "fault": rule.kind if rule else None,
            "status": None,
            "finished_at": None,
        }
        self.requests.append(entry)
        return entry


def as_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(value), status, headers, media_type="application/json")


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "tidemill"}


def _text_of(body: dict[str, Any], endpoint: str) -> str:
    """The words of a request, on which rules match and which the log's hash is of."""
    if endpoint == "embeddings":
        return json.dumps(body.get("input"))
    messages = body.get("messages")
    if not isinstance(messages, list):
        return ""
    parts = []
    for message in messages:
        if isinstance(message, dict):
            called = json.dumps(message["tool_calls"]) if message.get("tool_calls") else ""
            parts.append(f"{message.get('role')}: {content_text(message.get('content'))}{called}")
    return "\n".join(parts)


def _inputs(body: dict[str, Any]) -> list[str]:
    if not isinstance(body.get("model"), str):
        raise RequestError("you must provide a model parameter")
    given = body.get("input")
    tokens_only = isinstance(given, list) and all(isinstance(one, int) for one in given)
    many = given if isinstance(given, list) and not tokens_only else [given]
    texts = [" ".join(map(str, one)) if isinstance(one, list) else one for one in many]
    good = [one for one in texts if isinstance(one, str) and one]
    if len(good) < len(texts) or not 1 <= len(texts) <= MAX_INPUTS:
        text = f"Invalid 'input': expected a text, or 1 to {MAX_INPUTS} texts, none of them empty."
        raise RequestError(text, "input")
    return good


async def _events(made: Completion, with_usage: bool) -> AsyncIterator[str]:
    for chunk in made.as_chunks(with_usage):
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"


# -- responses that go wrong -------------------------------------------------------------------


def misbehaving(rule: Fault, body: dict[str, Any]) -> Response:
    """The response of a rule that replaces the whole answer."""
    if rule.kind == "rate_limited":
        error = {
            "message": "Rate limit reached.",
            "type": "requests",
            "param": None,
            "code": "rate_limit_exceeded",
        }
        header = rule.retry_after_header()
        return as_response(
            {"error": error}, 429, {"retry-after": header} if header is not None else None
        )
    if rule.kind == "server_error":
        error = {
            "message": rule.text or "The server had an error.",
            "type": "server_error",
            "param": None,
            "code": None,
        }
        return as_response({"error": error}, rule.status)
    if rule.kind == "unknown_model":
        text = f"The model `{body.get('model')}` does not exist or you do not have access to it."
        return as_response(RequestError(text, code="model_not_found").as_json(), 404)
    if rule.kind == "html":
        return Response(HTML_PAGE, 200, media_type="text/html")
    if rule.kind == "broken_body":
        return Response(
            '{"id": "chatcmpl-1", "choices": [{"mess', 200, media_type="application/json"
        )
    return BrokenOff(rule.kind, bool(body.get("stream")))


class BrokenOff(Response):
    """A response that is never sent, or stops after its beginning."""

    def __init__(self, kind: str, stream: bool) -> None:
        super().__init__(b"", 200, media_type="text/event-stream" if stream else "application/json")
        self.kind = kind
        if "content-length" in self.headers:
            del self.headers["content-length"]
        self.beginning = (
            b'data: {"id": "chatcmpl-1",' if stream else b'{"id": "chatcmpl-1", "choices": ['
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.kind != "hang":
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self.beginning, "more_body": True})
        if self.kind == "reset":
            _reset(receive)
            return
        await _disconnected(receive)


async def _disconnected(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        await asyncio.sleep(0.01)


def _reset(receive: Any) -> None:
    """Closes the connection so that the other side sees a reset, not an orderly end."""
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    with suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
