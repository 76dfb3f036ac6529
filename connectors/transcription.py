"""The sound of an episode in, what is said in it out, by an OpenAI-compatible server.

Only where TIDEMILL_TRANSCRIPTION_URL names one. The call is paid once: its answer stands in the
journal under the hash of the sound, before it is used, for all bundles and every replay.
"""

import hashlib
import time
from typing import TYPE_CHECKING, Any

from connectors.journal import MongoJournal
from connectors.model_errors import Refused, Retryable, redacted, sorted_out
from connectors.settings import settings

if TYPE_CHECKING:
    from openai import AsyncOpenAI

SOUND_BYTES = 25 * 1024 * 1024
DEADLINE_S = 600.0
TRIES = 3


class NoTranscription(Exception):
    """The server would not write it down. `reason` is a code."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Transcriber:
    """A transcription model and the journal of what it has said. `aclose()` it."""

    def __init__(self, client: "AsyncOpenAI", model: str, journal: MongoJournal) -> None:
        self._client, self._model, self._journal = client, model, journal

    @classmethod
    def from_settings(cls) -> "Transcriber | None":
        """The server that the settings name, None where they name none."""
        current = settings()
        if not current.transcription_url:
            return None
        from openai import AsyncOpenAI

        key = current.openai_api_key.get_secret_value() if current.openai_api_key else "none"
        client = AsyncOpenAI(
            base_url=current.transcription_url,
            api_key=key,
            max_retries=TRIES - 1,
            timeout=DEADLINE_S,
        )
        return cls(client, current.transcription_model, MongoJournal.from_settings())

    async def written(self, name: str, sound: bytes) -> str:
        """What is said. `name` tells the server the form of the sound (`episode.mp3`). Raises
        `NoTranscription`."""
        sound_hash = hashlib.sha256(sound).hexdigest()
        call_id = hashlib.sha256(f"transcription/{self._model}/{sound_hash}".encode()).hexdigest()
        stands = await self._journal.get(call_id)
        if stands is None:
            started = time.time()
            text = await self._ask(name, sound)
            stands = await self._journal.put(self._entry(call_id, sound_hash, text, started))
        return str(stands["answer"]["text"])

    async def aclose(self) -> None:
        await self._client.close()
        await self._journal.aclose()

    async def _ask(self, name: str, sound: bytes) -> str:
        try:
            answer = await self._client.audio.transcriptions.create(
                model=self._model, file=(name, sound)
            )
        except Exception as error:
            failure: Retryable | Refused = sorted_out(error)
            told = redacted(str(failure), self._client.api_key)
            raise NoTranscription("no_transcription", f"the server says {told}") from None
        return answer.text

    def _entry(self, call_id: str, sound_hash: str, text: str, started: float) -> dict[str, Any]:
        return {
            "_id": call_id,
            "event_id": "",
            "trace_id": "",
            "agent": "transcription",
            "attempt": 1,
            "step": 1,
            "index": 0,
            "kind": "model",
            "name": self._model,
            "args_hash": sound_hash,
            "answer": {"text": text},
            "usage": {"input_tokens": 0, "output_tokens": 0},
            "started_at": int(started * 1000),
            "duration_ms": int((time.time() - started) * 1000),
        }
