"""`team/job` in, one submitted Flink job out: the module that `flink run -pym jobs.run` names.

flink run -pym jobs.run -pyfs dist/tidemill-*.whl … sdr/lead_scoring [-D key=value …]
"""

import os
import sys

from deploy import stack
from jobs.errors import TidemillError
from jobs.submit import run_in_client


def main(arguments: list[str]) -> int:
    """Exit code 0 when the job is submitted, 2 for wrong words, 1 with a sentence otherwise."""
    names = [a for a in arguments if not a.startswith("-D")]
    pairs = [a.removeprefix("-D").strip() for a in arguments if a.startswith("-D")]
    if len(names) != 1 or not all("=" in pair for pair in pairs):
        print("expected one script: team/job, and -Dkey=value for options", file=sys.stderr)
        return 2
    try:
        os.environ.update(stack.environment())
        run_in_client(names[0], dict(pair.split("=", 1) for pair in pairs))
    except TidemillError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
