"""Steps of a run in, trace events out: the rows of a team's `agent_traces` topic.

Attribute names are those of OpenTelemetry's semantic conventions for generative AI. A span holds no
prompt, no answer and no secret unless content tracing is on.
"""

import json
from dataclasses import asdict, dataclass, field

from udfs.core.events import span_id

__all__ = ["CONTENT_CHARS", "Span", "content", "span_id"]

CONTENT_CHARS = 20_000


@dataclass(frozen=True)
class Span:
    """One trace event. `started_at` in ms since 1970; ids are the same on every replay."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: str  # "run" | "model_call" | "tool_call" | "effect"
    job: str
    agent: str
    event_id: str
    event_key: str
    started_at: int
    duration_ms: int
    status: str = "ok"  # "ok" | "error"
    reason: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        return asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))


def content(value: object) -> str:
    """Prompt or answer as a span attribute, bounded; used only where content tracing is on."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= CONTENT_CHARS else text[:CONTENT_CHARS] + "…"
