"""A port on the command line in; the offline model serving on it until SIGTERM out.

`python -m deploy.offline_model --port 8090 [--latency-ms 200] [--control] [--log FILE]`
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy.offline_model.running import serve


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.offline_model", description=__doc__)
    parser.add_argument(
        "--port", type=int, required=True, help="port on 127.0.0.1; 0 takes a free one"
    )
    parser.add_argument("--latency-ms", type=float, default=0.0, help="how long an answer takes")
    parser.add_argument("--control", action="store_true", help="serve /control, for tests")
    parser.add_argument("--log", type=Path, help="append a line of JSON for each answered request")
    options = parser.parse_args()
    try:
        serve(options.port, options.latency_ms, options.control, _tell, options.log)
    except OSError as error:
        print(
            f"offline model: port {options.port} cannot be used ({error.strerror}); choose another",
            file=sys.stderr,
        )
        return 1
    return 0


def _tell(url: str) -> None:
    print(f"offline model listens on {url}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
