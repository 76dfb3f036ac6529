"""`make bench`: measures on this machine, tells, and writes RESULTS.md.

python -m tests.bench [--rounds 5] [--only enrich]
"""

import argparse
from collections.abc import Callable

from rich.console import Console
from rich.markdown import Markdown

from tests.bench import (
    agent,
    board,
    cpu,
    demo,
    enrich,
    figures,
    first_chunk,
    market,
    orchestration,
    recovery,
    research,
)
from tests.bench.twins import compare

MEASURES: dict[str, Callable[[int], list[figures.Section]]] = {
    "enrich": enrich.measure,
    "orchestration": orchestration.measure,
    "market": market.measure,
    "recovery": recovery.measure,
    "agent": agent.measure,
    "demo": demo.measure,
    "index": research.index,
    "search": research.search,
    "research": first_chunk.measure,
    "board": board.measure,
    "twins": compare.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=MEASURES)
    given = parser.parse_args()
    print("load of the machine:", cpu.load())
    for name in [given.only] if given.only else MEASURES:
        sections = MEASURES[name](given.rounds)
        figures.write(sections, given.rounds)
        for section in sections:
            Console(width=160).print(Markdown(section.text(given.rounds)))


if __name__ == "__main__":
    main()
