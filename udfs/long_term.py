"""An agent's event in, what it remembers of cases like it out; and its reply back into memory.

    memory:
      long_term: {recall: 4, of: key, write: always, score_least: 0.3}

A thin shell between `run_agent` and `connectors.memories`. What is recalled is data of the prompt,
as short-term memory is; it can cause no call. Needs the extra `embeddings` on the workers, or an
endpoint (TIDEMILL_EMBEDDING_MODEL).
"""

from collections.abc import Mapping
from typing import Any

from udfs.core.calls import RunOutcome, digest
from udfs.core.definition import LongTermMemory

TEXT_CHARS = 2_000


def text_of(row: Mapping[str, Any]) -> str:
    """The words of a row, by which it is found again: its sentences, or where it has none all of
    its texts. Ids and addresses say nothing of a case."""
    texts = _texts(row)
    sentences = [text for text in texts if " " in text.strip()]
    return "\n".join(sentences or texts)[:TEXT_CHARS]


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping | list | tuple):
        return [text for one in inner for text in _texts(one)]
    return []


class LongTerm:
    """The long-term memory of one agent's runs."""

    def __init__(self, agent: str, policy: LongTermMemory) -> None:
        from connectors.embedding import embedder
        from connectors.memories import Memories

        embedder()  # a worker that cannot embed says so now
        self._agent, self._policy = agent, policy
        self._memories = Memories(agent)

    async def recall(self, event_id: str, key: str, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What is remembered of cases like this row, oldest first."""
        policy = self._policy
        return await self._memories.recall(
            key if policy.of == "key" else None,
            text_of(row),
            policy.recall,
            score_least=policy.score_least,
            without=self._id(event_id, row),
        )

    async def write_back(
        self, event_id: str, key: str, row: Mapping[str, Any], outcome: RunOutcome
    ) -> None:
        """Remember a run, where the policy says so."""
        event, reply = outcome.remember, outcome.reply
        if event is None or reply is None or not self._policy.writes(reply):
            return
        id_ = self._id(event_id, row)
        await self._memories.remember(id_, key, text_of(row), event, int(event["at_ms"]))

    def _id(self, event_id: str, row: Mapping[str, Any]) -> str:
        return digest([self._agent, event_id or row])[:32]
