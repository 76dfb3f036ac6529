"""What is told at submit time, and answers that the offline model never gives."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from connectors.model import ModelConfigurationError, ModelFailure, OpenAIModel
from deploy.offline_model import OfflineModel
from tests.connectors.test_model import CALL, KEY


def test_a_good_configuration_passes_the_check() -> None:
    with OfflineModel() as offline:
        check(offline.url, "gpt-4o")


def check(url: str | None, *models: str, key: str | None = KEY) -> None:
    async def checked() -> None:
        model = OpenAIModel(url, key, "gpt-4o-mini")
        try:
            await model.check(models)
        finally:
            await model.aclose()

    asyncio.run(checked())


def test_a_bad_configuration_is_told_in_a_sentence() -> None:
    with pytest.raises(ModelConfigurationError, match="no model server answers at http://127"):
        check("http://127.0.0.1:9/v1")
    with pytest.raises(ModelConfigurationError, match="expected http://… or https://…"):
        check("127.0.0.1:9/v1")
    with pytest.raises(ModelConfigurationError, match="neither OPENAI_API_KEY nor OPENAI_BASE_URL"):
        check(None, key=None)


def test_without_a_key_a_call_fails_and_raises_nothing_else() -> None:
    async def attempt() -> None:
        await OpenAIModel(None, None, "gpt-4o-mini").complete(CALL, 1)

    with pytest.raises(ModelFailure, match="neither OPENAI_API_KEY") as error:
        asyncio.run(attempt())
    assert error.value.reason == "model_unavailable"


async def serve(answers: dict[str, bytes]) -> asyncio.Server:
    """A server of fixed answers by path: what the offline model never says."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(answers[head.split()[1].decode()])
        await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


def answered(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def with_server(answers: dict[str, bytes], work: Callable[[OpenAIModel], Awaitable[Any]]) -> Any:
    async def served() -> Any:
        server = await serve(answers)
        port = server.sockets[0].getsockname()[1]
        model = OpenAIModel(f"http://127.0.0.1:{port}/v1", KEY, "gpt-4o-mini")
        try:
            return await work(model)
        finally:
            await model.aclose()
            server.close()

    return asyncio.run(served())


def test_a_refused_key_is_told_without_the_key() -> None:
    body = b'{"error": {"message": "Incorrect API key provided: ' + KEY.encode() + b'"}}'
    with pytest.raises(ModelConfigurationError, match="refuses the key in OPENAI_API_KEY") as error:
        with_server({"/v1/models": answered("401 No", body)}, lambda model: model.check())
    assert KEY not in str(error.value)


def test_an_unknown_model_is_told_with_its_neighbours() -> None:
    answers = {
        "/v1/models": answered("200 OK", b'{"data": [{"id": "gpt-4o"}, {"id": "gpt-4o-mini"}]}'),
        "/v1/models/gpt-4o-mino": answered("404 Not Found", b"{}"),
    }
    with pytest.raises(ModelConfigurationError, match="no model 'gpt-4o-mino'; it has gpt-4o-mini"):
        with_server(answers, lambda model: model.check(["gpt-4o-mino"]))


def test_a_server_without_a_list_of_models_passes_the_check() -> None:
    answers = {"/v1/models": answered("404 Not Found", b"not here")}
    with_server(answers, lambda model: model.check(["whatever"]))


def test_a_compressed_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    answers = {"/v1/chat/completions": answered("200 OK", bomb, "Content-Encoding: gzip")}
    with pytest.raises(ModelFailure, match="compressed, which was not asked for") as error:
        with_server(answers, lambda model: model.complete(CALL, 5))
    assert error.value.reason == "oversize"


def test_a_prompt_that_the_model_cannot_hold_is_oversize() -> None:
    body = b'{"error": {"message": "too long", "code": "context_length_exceeded"}}'
    answers = {"/v1/chat/completions": answered("400 Bad Request", body)}
    with pytest.raises(ModelFailure, match="HTTP 400: too long") as error:
        with_server(answers, lambda model: model.complete(CALL, 5))
    assert error.value.reason == "oversize"
