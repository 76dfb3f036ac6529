"""`make bench`: measures on this machine and prints; everything runs on its two or more cores."""

import os

from rich.console import Console
from rich.table import Table

from tests.bench.agent import added_latency_ms

RATES = (50, 100, 200)


def main() -> None:
    table = Table(
        title=f"run_agent, Kafka to Kafka: ms over the model's 200, {os.cpu_count()} cores"
    )
    for column in ("rows/s", "p50", "p90", "p99"):
        table.add_column(column, justify="right")
    for rate in RATES:
        found = added_latency_ms(rate)
        table.add_row(str(rate), *(f"{found[p - 1]:.0f}" for p in (50, 90, 99)))
    table.caption = "load of the machine: {:.1f} {:.1f} {:.1f}".format(*os.getloadavg())
    Console().print(table)


if __name__ == "__main__":
    main()
