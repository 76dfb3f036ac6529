"""Calls of one run in, their answers out: from the journal where it has them, else made and stored.

Every completed call, of the model or of a tool, is looked up before it is made, and stands in the
journal before its answer is used. A replay therefore makes the same run of the stored answers: it
pays nothing twice, spends the same tokens and the same time, and leaves the same spans.
"""

import logging
import time
from collections.abc import Awaitable, Callable

from udfs.core import spans
from udfs.core.calls import (
    REASONS,
    JournalEntry,
    JournalPort,
    Json,
    ModelAnswer,
    ModelCall,
    ModelPort,
    RunRequest,
    Stopped,
    ToolCall,
    call_id,
    digest,
)
from udfs.core.definition import AgentDefinition
from udfs.core.prompt import RESULT_CHARS, cut, length
from udfs.core.spans import Span
from udfs.core.tool import Tool, ToolError

_log = logging.getLogger(__name__)


class JournaledCalls:
    """The calls of one run, what they have spent, and their spans."""

    def __init__(
        self,
        definition: AgentDefinition,
        request: RunRequest,
        model: ModelPort,
        journal: JournalPort,
        now_s: Callable[[], float],
        trace_content: bool,
    ) -> None:
        self._definition, self._request = definition, request
        self._model, self._journal = model, journal
        self._now_s, self._trace_content = now_s, trace_content
        self._input_hash = digest(request.row)
        self.step = 0
        self.input_tokens = self.output_tokens = 0
        self._spent_s = 0.0
        self.answered_at_ms = self.now_ms()
        self._spans = spans.RunSpans(
            trace_id=request.trace_id,
            run_span_id=request.span_id,
            parent_span_id=request.parent_span_id,
            job=request.job,
            agent=definition.agent,
            event_id=request.event_id,
            event_key=request.key,
            attempt=request.attempt,
        )

    def now_ms(self) -> int:
        return int(self._now_s() * 1000)

    def remaining_s(self) -> float:
        return self._definition.limits.seconds - self._spent_s

    def charge(self, seconds: float) -> None:
        """Count time that calls took, now or when they were journaled, against the limit."""
        self._spent_s += seconds

    async def ask(self, call: ModelCall) -> ModelAnswer:
        """One step. Raises `Stopped` at a limit, or where the model gives no answer."""
        self._check_limits()
        self.step += 1
        body, started_ms = call.to_json(), self.now_ms()

        async def perform() -> tuple[Json, Json]:
            limits, left_s = self._definition.limits, self.remaining_s()
            try:
                answer = await self._model.complete(body, min(limits.call_seconds, left_s))
            except Exception as error:
                raise self._model_failure(error, out_of_time=left_s < limits.call_seconds) from None
            return answer, _usage(ModelAnswer.from_json(answer), call)

        name = call.model or "chat"
        try:
            entry, how = await self._stored("model", 0, name, body, perform)
        except Stopped as stopped:
            self._model_span(call, started_ms, None, "miss", stopped.failure.reason)
            raise
        self.input_tokens += entry.usage["input_tokens"]
        self.output_tokens += entry.usage["output_tokens"]
        self.charge(entry.duration_ms / 1000)
        self.answered_at_ms = entry.started_at + entry.duration_ms
        self._model_span(call, started_ms, entry, how, None)
        return ModelAnswer.from_json(entry.answer)

    async def use(self, tool: Tool, call: ToolCall, index: int) -> tuple[bool, str, float]:
        """One tool call of this step: whether it worked, its text, and the seconds it took."""

        async def perform() -> tuple[Json, Json]:
            timeout_s = min(self._definition.limits.tool_seconds, max(0.0, self.remaining_s()))
            try:
                arguments = tool.arguments(call.arguments)
                text = await tool.call(arguments, timeout_s, self._request.row)
                return {"ok": True, "text": cut(text, RESULT_CHARS)}, {}
            except ToolError as error:
                return {"ok": False, "text": str(error)}, {}

        args = {"name": call.name, "arguments": call.arguments}
        entry, how = await self._stored("tool", index, tool.name, args, perform)
        worked, text = bool(entry.answer["ok"]), str(entry.answer["text"])
        attributes = {"tool.name": tool.name, "journal": how}
        if self._trace_content:
            attributes["tool.arguments"] = spans.content(call.arguments)
            attributes["tool.result"] = spans.content(text)
        self._spans.add(
            "tool_call",
            f"execute_tool {tool.name}",
            self.step,
            index,
            started_at=entry.started_at,
            duration_ms=entry.duration_ms,
            reason=None if worked else "tool_error",
            attributes=attributes,
        )
        return worked, text, entry.duration_ms / 1000

    def refuse(self, call: ToolCall, index: int) -> None:
        """Note a tool call that is not made, because the agent may not."""
        self._spans.add(
            "tool_call",
            "execute_tool",
            self.step,
            index,
            started_at=self.now_ms(),
            duration_ms=0,
            reason="tool_not_allowed",
            attributes={"tool.name": call.name[:64]},
        )

    def _check_limits(self) -> None:
        limits, tokens = self._definition.limits, self.input_tokens + self.output_tokens
        if self.step >= limits.steps:
            raise Stopped("step_limit", f"no reply within {limits.steps} steps")
        if tokens >= limits.tokens:
            raise Stopped("token_limit", f"{tokens} tokens are spent; the limit is {limits.tokens}")
        if self.remaining_s() <= 0:
            raise Stopped("time_limit", f"no reply within {limits.seconds:g} s of calls")

    async def _stored(
        self,
        kind: str,
        index: int,
        name: str,
        args: Json,
        perform: Callable[[], Awaitable[tuple[Json, Json]]],
    ) -> tuple[JournalEntry, str]:
        """The entry that stands for this call, and how: "hit", "miss" or "differs"."""
        request, definition = self._request, self._definition
        step = str(self.step) if kind == "model" else f"{self.step}.{index}"
        id_ = call_id(
            request.event_id,
            self._input_hash,
            definition.agent,
            definition.version,
            request.attempt,
            step,
        )
        args_hash, how = digest(args), "hit"
        document = await self._journal.get(id_)
        if document is None:
            how, started_ms, started = "miss", self.now_ms(), time.monotonic()
            answer, usage = await perform()
            waited_ms = answer.pop("waited_ms", 0)  # for a busy server: no time of the agent's
            entry = JournalEntry(
                call_id=id_,
                event_id=request.event_id,
                trace_id=request.trace_id,
                agent=definition.agent,
                attempt=request.attempt,
                step=self.step,
                index=index,
                kind=kind,
                name=name,
                args_hash=args_hash,
                answer=answer,
                usage=usage,
                started_at=started_ms,
                duration_ms=round((time.monotonic() - started) * 1000) - waited_ms,
            )
            document = await self._put(entry)
        stands = JournalEntry.from_document(document)
        return stands, how if stands.args_hash == args_hash else "differs"

    async def _put(self, entry: JournalEntry) -> Json:
        try:
            return await self._journal.put(entry.to_document())
        except Exception as error:
            if getattr(error, "reason", None) in REASONS:
                raise Stopped(error.reason, str(error)) from None  # type: ignore[attr-defined]
            raise

    def _model_failure(self, error: Exception, out_of_time: bool) -> Stopped:
        reason = getattr(error, "reason", None)
        if reason == "model_timeout" and out_of_time:
            seconds = self._definition.limits.seconds
            return Stopped("time_limit", f"no reply within {seconds:g} s of calls: {error}")
        if reason in REASONS:
            return Stopped(reason, str(error))
        _log.error("the model client failed", exc_info=error)
        return Stopped("model_unavailable", f"the model client failed ({type(error).__name__})")

    def _model_span(
        self,
        call: ModelCall,
        started_at: int,
        entry: JournalEntry | None,
        how: str,
        reason: str | None,
    ) -> None:
        attributes = {"gen_ai.operation.name": "chat", "journal": how}
        duration_ms = self.now_ms() - started_at
        if entry is not None:
            answer = ModelAnswer.from_json(entry.answer)
            started_at, duration_ms = entry.started_at, entry.duration_ms
            attributes["gen_ai.usage.input_tokens"] = str(entry.usage["input_tokens"])
            attributes["gen_ai.usage.output_tokens"] = str(entry.usage["output_tokens"])
            attributes["gen_ai.response.finish_reasons"] = answer.finish_reason or "unknown"
            attributes["gen_ai.response.model"] = answer.model or "unknown"
        named = call.model or attributes.get("gen_ai.response.model", "default")
        attributes["gen_ai.request.model"] = named
        if self._trace_content:
            attributes["gen_ai.input.messages"] = spans.content(call.messages)
            attributes["gen_ai.output.messages"] = spans.content(entry and entry.answer)
        self._spans.add(
            "model_call",
            f"chat {named}",
            self.step,
            0,
            started_at=started_at,
            duration_ms=duration_ms,
            reason=reason,
            attributes=attributes,
        )

    def closed_spans(self, started_at: int, reason: str | None) -> list[Span]:
        """The run's span and those of its calls."""
        attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": self._definition.agent,
            "gen_ai.usage.input_tokens": str(self.input_tokens),
            "gen_ai.usage.output_tokens": str(self.output_tokens),
            "tidemill.agent.version": self._definition.version,
            "tidemill.steps": str(self.step),
        }
        return self._spans.closed(
            started_at=started_at,
            duration_ms=self.now_ms() - started_at,
            reason=reason,
            attributes=attributes,
        )


def _usage(answer: ModelAnswer, call: ModelCall) -> Json:
    """Tokens as the server counts them, or four characters a token where it does not."""
    written = len(answer.content or "") + sum(len(c.arguments) for c in answer.tool_calls)
    counted = (answer.input_tokens, answer.output_tokens)
    estimated = (length(call.messages) // 4 + 1, written // 4 + 1)
    used = [e if c is None else c for c, e in zip(counted, estimated, strict=True)]
    return {"input_tokens": used[0], "output_tokens": used[1]}
