"""What a keyed function is: columns of a view in, own columns out.

A `KeyedFunction` is one run per event, which may wait for the outside: sent with the job graph to
its operator (`udfs.keyed`), which sends it on to the process that runs it (`udfs.run_process`). A
`StateFunction` is a state per key that takes events and time, in its operator (`udfs.fold`). A
`JavaFunction` is an operator of `udfs/java`, where Python costs too much. All are made and checked
on the client. No Flink here: the process that runs needs none.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from udfs.core.decode import MAX_VALUE_BYTES
from udfs.core.fold import KeyState
from udfs.core.slot import Entry, MemoryPolicy
from udfs.core.spans import Span
from udfs.core.types import Type, parse_type

Columns = Sequence[tuple[str, Type]]


class BadCall(ValueError):
    """A call that a script should not have made. `argument` names the place in the call."""

    def __init__(self, argument: str, what: str, expected: str | None = None) -> None:
        self.argument, self.what, self.expected = argument, what, expected
        super().__init__(what)


def check_call(
    function: str,
    arguments: Mapping[str, Any],
    options: Sequence[str],
    columns: Columns = (),
    takes: Mapping[str, str] | None = None,
) -> None:
    """That a call has no options but these and `slots`, a whole number from 1 on, and that its
    input has the columns that the function takes, by name and type. Raises BadCall."""
    known = [*options, "slots"]
    if unknown := sorted(set(arguments) - set(known)):
        what = f"{function} has no option {unknown[0]}"
        raise BadCall(unknown[0], what, ", ".join(known))
    slots = arguments.get("slots", 1)
    if type(slots) is not int or slots < 1:
        what = f"slots of {function} is {slots}"
        raise BadCall("slots", what, "a whole number of at least 1")
    check_input(function, columns, takes or {})


def check_input(function: str, columns: Columns, takes: Mapping[str, str]) -> None:
    """That the input has these columns, of these types; that a value is never null does no harm.
    Raises BadCall."""
    given = {name: str(found).replace(" NOT NULL", "") for name, found in columns}
    for name, declared in takes.items():
        if given.get(name) != str(parse_type(declared)):
            what = f"the input of {function} has {name} {given.get(name, 'nowhere')}"
            raise BadCall("input", what, f"{name} {declared}")


@dataclass
class Result:
    """What one run came to: own output columns as plain values, or a failure, never both."""

    values: dict[str, Any] | None = None
    reason: str | None = None
    message: str = ""
    spans: Sequence[Span] = ()
    remember: dict[str, Any] | None = None
    counts: dict[str, int] = field(default_factory=dict)


class KeyedFunction(ABC):
    """A function in process-table-function form. What it has before `open` can be pickled."""

    stage: ClassVar[str] = "agent"
    job: str = ""
    step: str = ""
    concurrency: int = 64
    queued: int = 1000
    memory_policy: MemoryPolicy | None = None
    finish_s: float = 0.0
    counters: ClassVar[Sequence[str]] = ()
    row_bytes_max: ClassVar[int] = MAX_VALUE_BYTES  # of what a topic takes as one record

    @abstractmethod
    def output_columns(self) -> Columns:
        """The columns that the function adds to those of its input."""

    def view_columns(self, columns: Columns) -> Columns:
        """The columns of the view that the function makes of an input with these columns."""
        return [*columns, *self.output_columns()]

    def due_ms(self, entry: Entry) -> int:
        """When the event may start, in milliseconds since the epoch; 0 for at once."""
        return 0

    def withdraws(self, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Where an event is no work, but takes work back: the values of the events of its key that
        are to be forgotten, if they have not begun."""
        return None

    def instead(self, reason: str, message: str) -> dict[str, Any] | None:
        """The row of an event that could not be handled; None for a dead letter."""
        return None

    @abstractmethod
    async def open(self) -> None:
        """Make clients. In the process that runs; what is raised fails the job."""

    @abstractmethod
    async def run(self, entry: Entry, memory: list[dict[str, Any]]) -> Result:
        """Do the work of one event. Raises nothing but what is a defect."""

    async def finish(self) -> None:  # noqa: B027 - most have nothing that must not be broken off
        """End what must not be broken off, within `finish_s`. What then still runs is cancelled."""

    async def close(self) -> None:  # noqa: B027 - some have no clients
        """Give clients back. Nothing runs any more."""


class StateFunction(ABC):
    """A function whose state of a key says none or several rows to an event, or to time.

    `dedupes` drops repeats of an event's id before the state hears of them. A state that knows a
    repeat by what it says goes without, which saves a write for each event.
    """

    stage: ClassVar[str] = "state"
    dedupes: ClassVar[bool] = True

    @abstractmethod
    def output_columns(self) -> Columns:
        """The columns of its rows, the input's not among them."""

    def view_columns(self, columns: Columns) -> Columns:
        """Its own columns and the headers: a row descends from many of the input."""
        return [*self.output_columns(), ("headers", parse_type("MAP<STRING, BYTES>"))]

    @abstractmethod
    def new_state(self, key: str, pieces: Mapping[str, dict[str, Any]]) -> KeyState:
        """The state of a key, of the pieces that were kept of it; none for a new key."""


class JavaFunction(ABC):
    """A function that is one of the operators in `udfs/java`, with state per partition key."""

    java: ClassVar[str]

    @abstractmethod
    def view_columns(self, columns: Columns) -> Columns:
        """The columns of the view that the function makes of an input with these columns."""

    @abstractmethod
    def references(self, columns: Columns, step: str) -> Sequence[Any]:
        """What its constructor takes: strings and whole numbers. The rows that come have the
        partition key as text, then these columns."""


AnyFunction = KeyedFunction | StateFunction | JavaFunction
