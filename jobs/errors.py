"""What went wrong in, one sentence for a person out.

    TidemillError         a message, and a hint that says what to do
    └── ScriptError       the same, at a file and line: `sql/sdr/lead_scoring.sql:14: …`

The command prints `str(error)` and nothing else; `--debug` adds the traceback.
"""


class TidemillError(Exception):
    """Something that a person can mend: `message` says what is wrong, `hint` what to do."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return one_line(f"{self.message}; {self.hint}" if self.hint else self.message)


class ScriptError(TidemillError):
    """A place in a file of the team that is not what it should be."""

    def __init__(
        self,
        path: str,
        line: int,
        what: str,
        expected: str | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(what, next_step)
        self.args = (path, line, what, expected, next_step)
        self.path = path
        self.line = line
        self.what = what
        self.expected = expected
        self.next_step = next_step

    def __str__(self) -> str:
        parts = [self.what]
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.next_step:
            parts.append(self.next_step)
        return one_line(f"{self.path}:{self.line}: {'; '.join(parts)}")


def one_line(text: str) -> str:
    """The text without line breaks and other characters that would break a terminal's line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def shortened(text: str, chars: int) -> str:
    """One line of at most so many characters; the last is … where there is more."""
    line = one_line(text)
    return line if len(line) <= chars else line[: chars - 1] + "…"
