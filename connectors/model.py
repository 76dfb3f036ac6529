"""Chat calls as plain JSON in, answers as plain JSON out, over one OpenAI client per event loop.

The client's own retries are off; the policy is here: a deadline per call, retries of what may pass
(429, 5xx, lost connections, bodies that are no answer) with exponential back-off and full jitter,
Retry-After obeyed by every call of the process to that endpoint. That wait, of up to a minute,
counts against no deadline: else one busy minute of the server would fail all that comes in it. What
does not pass ends as a `ModelFailure` with a reason code; nothing here stops a job. `check` is for
the time of submission, where a wrong key or model is told in a sentence.
"""

import asyncio
import json
import random
import time
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit
from weakref import WeakKeyDictionary

from connectors.model_errors import (
    ModelConfigurationError,
    ModelFailure,
    ModelUnreachable,
    Refused,
    Retryable,
    redacted,
    sorted_out,
)
from connectors.model_wire import Dialect, answer_of, request_body
from connectors.settings import Settings, settings

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["ModelConfigurationError", "ModelFailure", "ModelUnreachable", "OpenAIModel"]

Json = dict[str, Any]

OPENAI_URL = "https://api.openai.com/v1"
RESPONSE_BYTES_MAX = 4 * 1024 * 1024
RETRY_AFTER_MAX_S = 3_600.0
PATIENCE_S = 60.0  # of one call with a server that wants to be left alone
BACKOFF_FIRST_S, BACKOFF_LAST_S = 0.25, 8.0
CHECK_S = 10.0


class _Gate:
    """The time until which an endpoint wants no call of this process."""

    _by_endpoint: dict[str, "_Gate"] = {}

    def __init__(self) -> None:
        self.opens_at = 0.0

    @classmethod
    def of(cls, endpoint: str) -> "_Gate":
        return cls._by_endpoint.setdefault(endpoint, cls())

    def close_for(self, seconds: float) -> None:
        self.opens_at = max(self.opens_at, time.monotonic() + seconds)

    async def passed(self, patience_s: float) -> float:
        """Wait until calls are wanted; the seconds that took. Raises `ModelFailure` where that
        would be more than `patience_s`."""
        came = time.monotonic()
        while (wait_s := self.opens_at - time.monotonic()) > 0:
            if time.monotonic() + wait_s > came + patience_s:
                message = f"the model server wants no call for {wait_s:.1f} s, which is too long"
                raise ModelFailure("rate_limited", message)
            await asyncio.sleep(wait_s + random.uniform(0, min(0.25, wait_s / 10)))
        return time.monotonic() - came


class OpenAIModel:
    """A chat model behind an OpenAI-compatible API. Build one per process; close with `aclose`."""

    def __init__(
        self,
        base_url: str | None,
        api_key: str | None,
        model: str,
        response_bytes_max: int = RESPONSE_BYTES_MAX,
    ) -> None:
        self._base_url = (base_url or OPENAI_URL).rstrip("/")
        self._api_key = api_key or ("none" if base_url else "")
        self._model = model
        self._response_bytes_max = response_bytes_max
        self._gate = _Gate.of(self._base_url)
        self._dialects: dict[str, Dialect] = {}
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncOpenAI] = (
            WeakKeyDictionary()
        )

    @classmethod
    def from_settings(cls, values: Settings | None = None) -> "OpenAIModel":
        """The model that OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL name."""
        values = values or settings()
        key = values.openai_api_key
        return cls(
            values.openai_base_url, key.get_secret_value() if key else None, values.openai_model
        )

    @property
    def endpoint(self) -> str:
        """The server's address, without user, password or query, for messages."""
        parts = urlsplit(self._base_url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))

    def open(self) -> None:
        """Load the client library (about a second), so that the first call does not wait for it."""
        import openai  # noqa: F401

        import connectors.model_transport  # noqa: F401

    async def aclose(self) -> None:
        """Close this event loop's connections."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    async def complete(self, call: Json, deadline_s: float) -> Json:
        """One chat completion, retried within `deadline_s`. Raises `ModelFailure`.

        `call`: messages, reply_name, reply_schema, tools, tool_choice, model, temperature,
        max_tokens. The answer: content, refusal, tool_calls, finish_reason, model, input_tokens,
        output_tokens, and `waited_ms` where the server wanted to be left alone.
        """
        if not self._api_key:
            raise ModelFailure("model_unavailable", self._no_key())
        deadline = time.monotonic() + deadline_s
        longest_s, tries, patience_s = BACKOFF_FIRST_S, 0, PATIENCE_S
        failed: Retryable | None = None
        while True:
            waited_s = await self._gate.passed(patience_s)
            deadline, patience_s = deadline + waited_s, patience_s - waited_s
            tries += 1
            left_s = max(0.0, deadline - time.monotonic())
            try:
                async with asyncio.timeout(left_s):
                    answer = await self._ask(call)
                waited_ms = round((PATIENCE_S - patience_s) * 1000)
                return {**answer, "waited_ms": waited_ms} if waited_ms else answer
            except TimeoutError:
                if failed and left_s < deadline_s / 2:  # the time went into tries that failed
                    raise self._given_up(failed, tries) from None
                raise ModelFailure(
                    "model_timeout", f"{self.endpoint} gave no answer within {deadline_s:g} s"
                ) from None
            except Refused as error:
                raise ModelFailure(error.reason, self._told(error)) from None
            except Retryable as error:
                failed = error
                wait_s, closed_s = self._wait_s(error, longest_s)
                if time.monotonic() + wait_s >= deadline or closed_s > patience_s:
                    raise self._given_up(error, tries) from None
            longest_s = min(longest_s * 2, BACKOFF_LAST_S)
            await asyncio.sleep(wait_s)

    async def check(self, models: Iterable[str] = ()) -> None:
        """Whether the server answers, takes the key and has the models (and the default one).

        Raises `ModelConfigurationError` with what to do. Costs no tokens.
        """
        if not self._api_key:
            raise ModelConfigurationError(self._no_key())
        if urlsplit(self._base_url).scheme not in ("http", "https"):
            raise ModelConfigurationError(
                f"OPENAI_BASE_URL is {self.endpoint!r}; expected http://… or https://…"
            )
        try:
            async with asyncio.timeout(CHECK_S):
                offered = await self._offered()
                for name in sorted({self._model, *models}):
                    if offered is not None and name not in offered:
                        await self._check_model(name, offered)
        except TimeoutError:
            raise ModelUnreachable(
                f"the model server at {self.endpoint} did not answer within {CHECK_S:g} s: "
                "is OPENAI_BASE_URL right, and is the server up?"
            ) from None

    async def _ask(self, call: Json) -> Json:
        model = call.get("model") or self._model
        used = self._dialects.setdefault(model, Dialect())
        try:
            body = await self._request("post", "/chat/completions", request_body(call, model, used))
        except Refused as error:
            other = used.other(error.status, str(error))
            if other is None:
                raise
            if self._dialects[model] == used:  # else another call has learned it already
                self._dialects[model] = other
            return await self._ask(call)
        return answer_of(body)

    async def _request(self, method: str, path: str, body: Json | None = None) -> Any:
        """The JSON body of a response. Raises `Retryable` or `Refused`."""
        import httpx2

        client = self._client()
        try:
            if method == "get":
                response = await client.get(path, cast_to=httpx2.Response)
            else:
                response = await client.post(path, cast_to=httpx2.Response, body=body)
            content = response.content
        except Exception as error:
            raise sorted_out(error) from None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            kind = response.headers.get("content-type", "no content type").partition(";")[0]
            raise Retryable("model_unavailable", f"answered {kind[:60]} that is not JSON") from None

    def _client(self) -> "AsyncOpenAI":
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            import httpx2
            from openai import AsyncOpenAI

            from connectors.model_transport import CONNECT_S, ConnectionStack

            self._clients[loop] = AsyncOpenAI(
                base_url=self._base_url,
                api_key=self._api_key,
                max_retries=0,
                http_client=httpx2.AsyncClient(
                    transport=ConnectionStack(self._base_url, self._response_bytes_max),
                    timeout=httpx2.Timeout(None, connect=CONNECT_S),
                    headers={"Accept-Encoding": "identity"},
                ),
            )
        return self._clients[loop]

    def _wait_s(self, error: Retryable, longest_s: float) -> tuple[float, float]:
        """Seconds until the next try, with full jitter but never before Retry-After: its own, and
        those for which all calls wait at the gate."""
        backoff_s = random.uniform(0.01, longest_s)
        after_s = min(error.retry_after_s or 0.0, RETRY_AFTER_MAX_S)
        if error.reason != "rate_limited" or after_s <= backoff_s:
            return max(after_s, backoff_s), 0.0
        self._gate.close_for(after_s)
        return 0.0, after_s

    async def _offered(self) -> list[str] | None:
        """The names of the server's models; None where it has no such list."""
        try:
            body = await self._request("get", "/models")
            return [str(model["id"]) for model in body["data"]]
        except Refused as error:
            if error.status in (401, 403):
                raise ModelConfigurationError(
                    f"{self.endpoint} refuses the key in OPENAI_API_KEY (HTTP {error.status}): "
                    "set another one"
                ) from None
            return None
        except Retryable as error:
            raise ModelUnreachable(
                f"no model server answers at {self.endpoint} ({self._told(error)}): is "
                "OPENAI_BASE_URL right, and is the server up?"
            ) from None
        except (KeyError, TypeError):
            return None

    async def _check_model(self, name: str, offered: list[str]) -> None:
        try:
            await self._request("get", f"/models/{name}")
        except Refused as error:
            if error.status == 404:
                near = get_close_matches(name, offered, 5, 0.3) or sorted(offered)[:5]
                raise ModelConfigurationError(
                    f"{self.endpoint} has no model {name!r}; it has {', '.join(near)}, …: set "
                    "`model.name` in the agent's file, or OPENAI_MODEL"
                ) from None
        except Retryable:
            return

    def _given_up(self, error: Retryable, tries: int) -> ModelFailure:
        told = self._told(error) + (f" ({tries} tries)" if tries > 1 else "")
        return ModelFailure(error.reason, told)

    def _no_key(self) -> str:
        return (
            "neither OPENAI_API_KEY nor OPENAI_BASE_URL is set: set the key, or the address of "
            "your own server, or run `tidemill up` for the offline model"
        )

    def _told(self, error: Exception) -> str:
        return redacted(str(error), self._api_key)
