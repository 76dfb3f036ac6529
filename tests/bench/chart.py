"""Pairs of values in, one picture of bars out: in the terminal, and as a PNG for the README.

Each bar has its value beside it; counts are on a logarithmic scale, seconds on a linear one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table

PICTURE = Path(__file__).with_name("twins.png")
DIRECT, LOG = "direct calls", "on the log"
COLOURS = {DIRECT: "#c2571a", LOG: "#1f6f8b"}
INK, PAPER = "#222222", "#ffffff"
WIDTH, ROW, MARGIN, LABEL = 860, 22, 24, 130
SCALE = 2  # drawn at twice the size, so that letters are smooth


@dataclass(frozen=True)
class Bars:
    """One panel: (label, value of the direct form, value on the log)."""

    title: str
    rows: Sequence[tuple[str, float, float]]
    seconds: bool = False

    @property
    def most(self) -> float:
        return max(value for _, *values in self.rows for value in values)

    def share(self, value: float) -> float:
        """The length of a bar, 0 to 1."""
        if self.seconds:
            return value / self.most
        return math.log10(max(value, 0.0) + 1) / math.log10(self.most + 1)

    def told(self, value: float) -> str:
        return f"{value:,.2f} s" if self.seconds else f"{value:,.0f}"


def draw(title: str, panels: Sequence[Bars], file: Path = PICTURE) -> None:
    """Write the PNG, and print the same."""
    _png(title, panels, file)
    for panel in panels:
        shown = Table(title=f"{title}: {panel.title}", box=None, title_justify="left")
        for label, *values in panel.rows:
            for name, value in _named(values):
                bar = "█" * max(1, round(50 * panel.share(value)))
                first = label if name == DIRECT else ""
                shown.add_row(first, name, f"[{COLOURS[name]}]{bar}[/] {panel.told(value)}")
        Console(width=120).print(shown)


def _named(values: Sequence[float]) -> list[tuple[str, float]]:
    return list(zip((DIRECT, LOG), values, strict=True))


def _png(title: str, panels: Sequence[Bars], file: Path) -> None:
    rows = sum(2 * len(panel.rows) + 2 for panel in panels)
    height = MARGIN * 2 + ROW * (rows + 2)
    image = Image.new("RGB", (WIDTH * SCALE, height * SCALE), PAPER)
    pen = ImageDraw.Draw(image)
    plain, large = (ImageFont.load_default(size * SCALE) for size in (13, 17))

    def write(x: float, y: float, text: str, font: object = plain, colour: str = INK) -> None:
        pen.text((x * SCALE, y * SCALE), text, fill=colour, font=font)  # type: ignore[arg-type]

    write(MARGIN, MARGIN - 6, title, large)
    write(WIDTH - 250, MARGIN - 2, DIRECT, colour=COLOURS[DIRECT])
    write(WIDTH - 140, MARGIN - 2, LOG, colour=COLOURS[LOG])
    y = MARGIN + ROW * 1.6
    longest = WIDTH - 2 * MARGIN - LABEL - 90
    for panel in panels:
        write(MARGIN, y, panel.title if panel.seconds else f"{panel.title} (logarithmic)")
        y += ROW * 1.1
        for label, *values in panel.rows:
            write(MARGIN, y + ROW / 2, label)
            for name, value in _named(values):
                end = MARGIN + LABEL + longest * panel.share(value)
                box = [
                    (MARGIN + LABEL) * SCALE,
                    (y + 3) * SCALE,
                    end * SCALE,
                    (y + ROW - 3) * SCALE,
                ]
                pen.rectangle(box, fill=COLOURS[name])
                write(end + 8, y + 3, panel.told(value))
                y += ROW
        y += ROW * 0.9
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file, optimize=True)
