"""Steps of a run in, trace events out: the rows of a team's `agent_traces` topic.

Attribute names are those of OpenTelemetry's semantic conventions for generative AI. A span holds no
prompt, no answer and no secret unless content tracing is on.
"""

import json
from dataclasses import asdict, dataclass, field

from udfs.core.events import span_id

__all__ = ["CONTENT_CHARS", "RunSpans", "Span", "content", "span_id"]

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


class RunSpans:
    """The spans of one run; `run_span_id` is the parent of all but the run's own."""

    def __init__(
        self,
        *,
        trace_id: str,
        run_span_id: str,
        parent_span_id: str,
        job: str,
        agent: str,
        event_id: str,
        event_key: str,
        attempt: int,
    ) -> None:
        self._common = {
            "trace_id": trace_id,
            "job": job,
            "agent": agent,
            "event_id": event_id,
            "event_key": event_key,
        }
        self._run_span_id, self._parent_span_id = run_span_id, parent_span_id
        self._attempt = attempt
        self._steps: list[Span] = []

    def add(
        self,
        kind: str,
        name: str,
        step: int,
        index: int,
        *,
        started_at: int,
        duration_ms: int,
        reason: str | None,
        attributes: dict[str, str],
    ) -> None:
        """Note a call of the run: the `index`-th of its kind in that step."""
        position = (kind, str(self._attempt), str(step), str(index))
        self._steps.append(
            Span(
                **self._common,
                span_id=span_id(self._run_span_id, *position),
                parent_span_id=self._run_span_id,
                name=name,
                kind=kind,
                started_at=started_at,
                duration_ms=duration_ms,
                status="error" if reason else "ok",
                reason=reason,
                attributes=attributes,
            )
        )

    def closed(
        self, *, started_at: int, duration_ms: int, reason: str | None, attributes: dict[str, str]
    ) -> list[Span]:
        """All spans, the run's own first."""
        own = Span(
            **self._common,
            span_id=self._run_span_id,
            parent_span_id=self._parent_span_id,
            name=f"invoke_agent {self._common['agent']}",
            kind="run",
            started_at=started_at,
            duration_ms=duration_ms,
            status="error" if reason else "ok",
            reason=reason,
            attributes={"tidemill.attempt": str(self._attempt), **attributes},
        )
        return [own, *self._steps]


def content(value: object) -> str:
    """Prompt or answer as a span attribute, bounded; used only where content tracing is on."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= CONTENT_CHARS else text[:CONTENT_CHARS] + "…"
