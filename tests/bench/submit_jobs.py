"""Names of scripts and Flink options (key=value) in, running jobs out, from one client."""

import sys

from jobs.submit import submit


def main() -> None:
    words = sys.argv[1:]
    names = [word for word in words if "=" not in word]
    options = dict(word.split("=", 1) for word in words if "=" in word)
    submit(names, overrides=options, report=lambda name, event: print(name, event, flush=True))


if __name__ == "__main__":
    main()
