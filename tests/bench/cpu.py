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
                used[KINDS.get(name) or kind(process, process.pid == record.pid)] += _cpu_s(process)
            except psutil.Error:
                continue
    for other, process in others.items():
        used[other] += _cpu_s(process)
    return used


def kind(process: psutil.Process, is_leader: bool) -> str:
    """What a process of the Flink cluster is; shells count as what they start."""
    words = " ".join(process.cmdline())
    if is_leader:
        return "JobManager" if "StandaloneSession" in words else "TaskManager"
    return "run process" if "run_process_main" in words else "Beam worker"


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def per_record_us(before: Counter[str], after: Counter[str], records: int) -> dict[str, float]:
    """Microseconds of CPU for one record, by kind of process, those below 1 % left out."""
    used = {k: (after[k] - before[k]) / records * 1e6 for k in after}
    total = sum(used.values())
    return {k: v for k, v in sorted(used.items(), key=lambda i: -i[1]) if v > total / 100}


def load() -> str:
    """The machine's load averages over 1, 5 and 15 minutes, and its cores."""
    return "{:.1f} {:.1f} {:.1f}".format(*os.getloadavg()) + f" on {os.cpu_count()} cores"
