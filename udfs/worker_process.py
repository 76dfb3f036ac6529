"""What a Python worker's process is set to before an operator's first element.

A bundle goes through a dozen hand-overs between threads; what makes them slow makes every record
late, and none of it is anything that a job could configure.
"""

import logging
import sys
import threading

from apache_beam.runners.worker import statesampler

# With Python's own 5 ms each hand-over could stand behind another busy thread for so long.
SWITCH_INTERVAL_S = 0.0002


def prepare() -> None:
    """For this process; again costs nothing."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line per request, through Flink's log
    # Beam starts a thread per bundle that samples how long its operations take, and ends each
    # bundle by waiting for that thread's sleep, some 4 ms. Flink shows none of it.
    statesampler.StateSampler.start = _start
    statesampler.StateSampler.stop = _stop


def _start(sampler: statesampler.StateSampler) -> None:
    sampler.tracked_thread = threading.current_thread()
    statesampler.set_current_tracker(sampler)
    sampler.started = True


def _stop(sampler: statesampler.StateSampler) -> None:
    statesampler.set_current_tracker(None)
    sampler.finished = True
