"""One row in; one validated reply or one failure with its reason code, and the spans, out.

`direct` is one model call and at most two repair tries with the validator's message; `react` lets
the model call the agent's tools before it replies; `plan` has it plan all calls first, look at what
came back, and write (`udfs.core.planning`). The model, the journal and the tools come in through
ports (`udfs.core.calls`). What goes wrong with model or tools is a failure, which is data.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from udfs.core import planning, prompt
from udfs.core.calls import (
    Failure,
    JournalPort,
    Json,
    ModelAnswer,
    ModelCall,
    ModelPort,
    RunOutcome,
    RunRequest,
    Stopped,
    ToolCall,
    call_id,
    digest,
)
from udfs.core.definition import AgentDefinition
from udfs.core.grounding import grounded_texts, texts_of
from udfs.core.journaled import JournaledCalls
from udfs.core.reply import InvalidReply, ReplyFormat
from udfs.core.template import TemplateError
from udfs.core.tool import Tool

__all__ = [
    "Failure",
    "JournalPort",
    "ModelPort",
    "RunOutcome",
    "RunRequest",
    "call_id",
    "complete_rows",
    "run",
]

REPAIRS = 2
TOOL_CALLS_PER_TURN = 16
ARGUMENT_CHARS = 20_000
_RESULT_CHARS_LEAST = 200
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


async def run(
    definition: AgentDefinition,
    request: RunRequest,
    model: ModelPort,
    journal: JournalPort,
    tools: Mapping[str, Tool],
    *,
    trace_content: bool = False,
    now_s: Callable[[], float] = time.time,
) -> RunOutcome:
    """Run the agent on one row. Trouble with model or tools is in the outcome, never raised.

    `now_s` is the wall clock, for spans and memory. Waiting for the journal counts against no
    limit.
    """
    calls = JournaledCalls(definition, request, model, journal, now_s, trace_content)
    started_ms, failure, reply, remember = calls.now_ms(), None, None, None
    try:
        reply = await _Run(definition, request, calls, tools).reply()
    except Stopped as stopped:
        failure = stopped.failure
    if reply is not None and definition.remembers:
        remember = prompt.remembered(calls.answered_at_ms, request.row, reply)
    spans = calls.closed_spans(started_ms, failure.reason if failure else None)
    return RunOutcome(reply, failure, spans, remember)


async def complete_rows(
    definition: AgentDefinition,
    requests: Sequence[RunRequest],
    model: ModelPort,
    journal: JournalPort,
    tools: Mapping[str, Tool] | None = None,
    *,
    trace_content: bool = False,
    now_s: Callable[[], float] = time.time,
) -> list[RunOutcome]:
    """Run all rows at once, `limits.concurrency` at a time; outcomes in the order of the rows.

    `limits.seconds` is each row's own. The same row of the same event twice is one run.
    """
    slots = asyncio.Semaphore(definition.limits.concurrency)

    async def one(request: RunRequest) -> RunOutcome:
        async with slots:
            try:
                return await run(
                    definition,
                    request,
                    model,
                    journal,
                    tools or {},
                    trace_content=trace_content,
                    now_s=now_s,
                )
            except Exception as defect:  # a row must stop neither the job nor its batch
                told = f"{type(defect).__name__}: {defect}"
                return RunOutcome(None, Failure("internal_error", told), [], None)

    identities = [(r.event_id, r.attempt, digest(r.row)) for r in requests]
    distinct = dict(zip(identities, requests, strict=True))
    outcomes = await asyncio.gather(*map(one, distinct.values()))
    by_identity = dict(zip(distinct, outcomes, strict=True))
    return [by_identity[identity] for identity in identities]


class _Run:
    """One run's conversation."""

    def __init__(
        self,
        definition: AgentDefinition,
        request: RunRequest,
        calls: JournaledCalls,
        tools: Mapping[str, Tool],
    ) -> None:
        self._definition, self._request, self._calls = definition, request, calls
        allowed = {path.rpartition(".")[2] for path in definition.tools}
        react, direct = (definition.planning == mode for mode in ("react", "direct"))
        self._tools = {name: tools[name] for name in allowed & tools.keys() if not direct}
        self._specs = [self._tools[name].spec() for name in sorted(self._tools) if react]
        self._messages: list[Json] = []
        self._results: list[tuple[str, str]] = []
        self._overstepped = False

    async def reply(self) -> Json:
        """The validated reply. Raises `Stopped`."""
        row, definition = self._request.row, self._definition
        try:
            self._messages = prompt.first_messages(definition, row, self._request.memory)
        except TemplateError as error:
            where = f"line {error.line} of the instructions: " if error.line else ""
            raise Stopped("prompt_error", f"{where}{error}") from None
        if definition.planning == "plan":
            await self._plan_and_look()
        reply = await self._answered(definition.agent, definition.reply_format)
        for name, tool, items in definition.result_columns:
            reply[name] = planning.result_rows((t for n, t in self._results if n == tool), items)
        return reply

    async def _answered(self, name: str, form: ReplyFormat) -> Json:
        """The valid answer in a form, after the tool calls that the model wants before it."""
        repairs = REPAIRS
        while True:
            answer = await self._ask(name, form)
            if answer.tool_calls:
                await self._take_tool_turn(answer)
                continue
            try:
                return self._read(answer, form)
            except InvalidReply as problem:
                last = repairs == 0 or self._calls.step == self._definition.limits.steps
                if last:
                    empty = not (answer.content or "").strip()
                    reason = "empty_reply" if empty else "invalid_reply"
                    raise Stopped(reason, str(problem)) from None
                repairs -= 1
                self._messages += prompt.repair_messages(answer.content or "", str(problem))

    async def _plan_and_look(self) -> None:
        """Have calls planned and made, and planned again, while a step is left to write in."""
        limits, form = self._definition.limits, planning.plan_format(self._tools)
        ask, made = planning.request_text(self._tools), set[str]()
        for _ in range(1 + limits.revisions):
            if self._calls.step + 2 > limits.steps:
                break
            self._messages.append({"role": "user", "content": ask})
            plan = await self._answered(planning.PLAN, form)
            text = prompt.cut(json.dumps(plan, ensure_ascii=False), ARGUMENT_CHARS)
            self._messages.append({"role": "assistant", "content": text})
            calls = planning.planned_calls(plan, self._tools, made)
            if not calls:
                break
            used = await asyncio.gather(*(self._use(call, i) for i, call in enumerate(calls)))
            self._calls.charge(max(seconds for _, seconds in used))
            results = [(call, text) for call, (text, _) in zip(calls, used, strict=True)]
            room = limits.prompt_chars - prompt.length(self._messages)
            shown = planning.results_text(results, room)
            self._messages.append({"role": "user", "content": shown})
            ask = planning.revision_text()
        self._messages.append({"role": "user", "content": planning.writing_text()})

    async def _ask(self, name: str, form: ReplyFormat) -> ModelAnswer:
        options, limits = self._definition.model, self._definition.limits
        last = self._calls.step + 1 == limits.steps
        return await self._calls.ask(
            ModelCall(
                messages=list(self._messages),
                reply_name=name,
                reply_schema=form.wire,
                tools=self._specs,
                tool_choice="none" if last else "auto",
                model=options.name,
                temperature=options.temperature,
                max_tokens=options.max_tokens,
            )
        )

    def _read(self, answer: ModelAnswer, form: ReplyFormat) -> Json:
        """The reply in an answer. Raises `InvalidReply`, which a repair try may mend."""
        if answer.refusal or answer.finish_reason == "content_filter":
            told = prompt.cut(answer.refusal or "stopped by its content filter", 200)
            raise Stopped("refusal", f"the model refused: {told}")
        if answer.finish_reason == "length":
            tokens = self._definition.model.max_tokens
            raise Stopped("truncated", f"the answer was cut off; model.max_tokens is {tokens}")
        text = answer.content or ""
        if not text.strip():
            raise InvalidReply("the answer is empty")
        row = self._request.row
        results = (text for _, text in self._results)
        evidence = chain(texts_of(row), results, [self._definition.instructions])
        reply = form.read(text, row, evidence)
        self._check_own_words(reply, form)
        return reply

    def _check_own_words(self, reply: Json, form: ReplyFormat) -> None:
        """What leaves must not tell how the agent is instructed. Raises `InvalidReply`."""
        texts = list(grounded_texts(reply, form.schema))
        own = prompt.own_sentences(self._definition) if texts else set()
        for path, text in texts:
            written = " ".join(text.split())
            if any(sentence in written for sentence in own):
                raise InvalidReply(f"{path}: repeats the instructions, which are not for others")

    async def _take_tool_turn(self, answer: ModelAnswer) -> None:
        """Make the calls that the model asked for, all at once, and tell it their results."""
        limits, step = self._definition.limits, self._calls.step
        asked = answer.tool_calls[:TOOL_CALLS_PER_TURN]
        own = {spec["function"]["name"] for spec in self._specs}  # none where calls are planned
        foreign = [call.name for call in asked if call.name not in own]
        if foreign and self._overstepped:
            message = f"the model asked again for a tool that is not its own: {foreign[0][:64]!r}"
            raise Stopped("tool_not_allowed", message)
        self._overstepped = self._overstepped or bool(foreign)
        if step >= limits.steps:
            raise Stopped("step_limit", f"no reply within {limits.steps} steps")
        texts = await asyncio.gather(
            *(self._use(c, i) if c.name in own else self._refuse(c, i) for i, c in enumerate(asked))
        )
        self._calls.charge(max(seconds for _, seconds in texts))
        ids = [f"call_{step}_{index}" for index in range(len(asked))]
        shown = [(i, _name(c), _arguments(c)) for i, c in zip(ids, asked, strict=True)]
        self._messages.append(prompt.tool_turn(answer.content, shown))
        for id_, (text, _) in zip(ids, texts, strict=True):
            room = max(_RESULT_CHARS_LEAST, limits.prompt_chars - prompt.length(self._messages))
            self._messages.append(prompt.tool_result(id_, text, room))

    async def _use(self, call: ToolCall, index: int) -> tuple[str, float]:
        """The text that the model gets for one call, and the seconds that it took."""
        tool = self._tools[call.name]
        if len(call.arguments) > ARGUMENT_CHARS:
            return f"error: the arguments are longer than {ARGUMENT_CHARS} characters", 0.0
        worked, text, seconds = await self._calls.use(tool, call, index)
        if worked:
            self._results.append((tool.name, text))
        return text if worked else f"error: {text}", seconds

    async def _refuse(self, call: ToolCall, index: int) -> tuple[str, float]:
        """As `_use`, for a call that is not made."""
        self._calls.refuse(call, index)
        known = ", ".join(spec["function"]["name"] for spec in self._specs) or "none"
        return f"error: there is no tool {call.name[:64]!r}; yours are: {known}", 0.0


def _name(call: ToolCall) -> str:
    """The called name in the letters that the API takes back."""
    return _NOT_IN_NAMES.sub("_", call.name)[:64] or "unnamed"


def _arguments(call: ToolCall) -> str:
    """The arguments as the model wrote them, or none where servers could not read them back."""
    try:
        is_object = isinstance(json.loads(call.arguments), dict)
    except (ValueError, RecursionError):
        is_object = False
    return call.arguments if is_object and len(call.arguments) <= ARGUMENT_CHARS else "{}"
