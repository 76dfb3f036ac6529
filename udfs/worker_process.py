"""What a Python worker's process is set to before an operator's first element.

A bundle goes through a dozen hand-overs between threads, and every operator makes up to a hundred
bundles a second. What makes those slow makes every record late, and none of it is anything that a
job could configure.
"""

import logging
import sys
import threading
import time
from typing import Any

import grpc
from apache_beam.runners.worker import bundle_processor, statesampler
from pyflink.fn_execution import state_impl

# With Python's own 5 ms each hand-over could stand behind another busy thread for so long.
SWITCH_INTERVAL_S = 0.0002
# Flink's reporters read metrics every 10 s; Beam would send them with every bundle.
REPORT_S = 1.0


def prepare() -> None:
    """For this process; again costs nothing."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line per request, through Flink's log
    # Beam starts a thread per bundle that samples how long its operations take, and ends each
    # bundle by waiting for that thread's sleep, some 4 ms. Flink shows none of it.
    statesampler.StateSampler.start = _start
    statesampler.StateSampler.stop = _stop
    bundle_processor.BundleProcessor.monitoring_infos = _monitoring_infos
    bundle_processor.BundleProcessor.reset = _reset
    state_impl.RemoteKeyedStateBackend.commit = _commit
    threading.excepthook = _unless_hung_up


def _unless_hung_up(ended: Any) -> None:
    """Beam's threads that read from Flink end with an error when Flink hangs up, as it does when a
    job stops. Nobody need be told."""
    hung_up = isinstance(ended.exc_value, grpc.RpcError) and isinstance(ended.exc_value, grpc.Call)
    if not hung_up or ended.exc_value.code() is not grpc.StatusCode.CANCELLED:
        threading.__excepthook__(ended)


def _start(sampler: statesampler.StateSampler) -> None:
    sampler.tracked_thread = threading.current_thread()
    statesampler.set_current_tracker(sampler)
    sampler.started = True


def _stop(sampler: statesampler.StateSampler) -> None:
    statesampler.set_current_tracker(None)
    sampler.finished = True


_every_bundles_infos = bundle_processor.BundleProcessor.monitoring_infos
_every_bundles_reset = bundle_processor.BundleProcessor.reset


def _monitoring_infos(processor: bundle_processor.BundleProcessor) -> list[Any]:
    """The metrics of all bundles since the last report; nothing while that is less than a second
    ago. Making them took a third of a worker's time."""
    now_s = time.monotonic()
    processor.reports = now_s >= getattr(processor, "next_report_s", 0.0)
    if not processor.reports:
        return []
    processor.next_report_s = now_s + REPORT_S
    infos: list[Any] = _every_bundles_infos(processor)
    return infos


def _reset(processor: bundle_processor.BundleProcessor) -> None:
    """Metrics are deltas: what was not reported must not be reset."""
    if processor.reports:
        _every_bundles_reset(processor)
        return
    for operation in processor.ops.values():
        if isinstance(operation, bundle_processor.DataInputOperation):
            operation.reset()


class _Writes:
    """A handler of state whose writes nobody waits for yet."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self.under_way: list[Any] = []

    def append_raw(self, state_key: Any, data: bytes) -> None:
        self.under_way.append(self._handler.append_raw(state_key, data))

    def clear(self, state_key: Any) -> None:
        self.under_way.append(self._handler.clear(state_key))


_every_keys_commit = state_impl.RemoteKeyedStateBackend.commit


def _commit(backend: state_impl.RemoteKeyedStateBackend) -> None:
    """Write the state of a bundle's keys. PyFlink waits for each key's write before it sends the
    next one, a millisecond each; here all are under way before the first is waited for."""
    states = backend._map_state_handler
    handler = states._underlying
    states._underlying = writes = _Writes(handler)
    try:
        _every_keys_commit(backend)
    finally:
        states._underlying = handler
    for write in writes.under_way:
        write.get()
