"""What is imported before it is needed: nothing that takes a second."""

import subprocess
import sys

HEAVY = {"pydantic", "yaml", "openai", "pymongo", "httpx2", "pyflink", "docstring_parser"}


def imported_by(code: str) -> set[str]:
    """Packages that a fresh Python has after these statements."""
    code += "; import sys; print(*{m.split('.')[0] for m in sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


def test_a_worker_loads_the_agent_loop_without_heavy_libraries() -> None:
    assert not HEAVY & imported_by("import udfs.core.agent_loop")


def test_the_command_line_starts_without_flink() -> None:
    assert not {"pyflink", "pandas", "openai"} & imported_by("import jobs.cli; jobs.cli._mount()")
