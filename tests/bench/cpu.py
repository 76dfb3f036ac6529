"""The stack's processes in, the CPU seconds that each kind has used out."""

import os
from collections import Counter

import psutil

from connectors.settings import settings
from deploy.record import StackRecord

KINDS = {"kafka": "broker", "mongodb": "MongoDB"}


def seconds(**others: psutil.Process) -> Counter[str]:
    """CPU seconds so far, by kind of process; `others` are processes outside of the stack."""
    used: Counter[str] = Counter()
    for name, record in StackRecord.load(settings().home).processes.items():
        for process in record.family():
            try:
                kind = KINDS.get(name) or _kind(process, process.pid == record.pid)
                used[kind] += _cpu_s(process)
            except psutil.Error:
                continue
    for kind, process in others.items():
        used[kind] += _cpu_s(process)
    return used


def _kind(process: psutil.Process, is_leader: bool) -> str:
    words = " ".join(process.cmdline())
    if is_leader:
        return "JobManager" if "StandaloneSession" in words else "TaskManager"
    return "run process" if "run_process_main" in words else "Beam worker"


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def per_record_us(before: Counter[str], after: Counter[str], records: int) -> dict[str, float]:
    """Microseconds of CPU for one record, by kind of process, those below 1 % left out."""
    used = {kind: (after[kind] - before[kind]) / records * 1e6 for kind in after}
    total = sum(used.values())
    return {k: v for k, v in sorted(used.items(), key=lambda i: -i[1]) if v > total / 100}


def load() -> str:
    """The machine's load averages over 1, 5 and 15 minutes, and its cores."""
    return "{:.1f} {:.1f} {:.1f}".format(*os.getloadavg()) + f" on {os.cpu_count()} cores"
