"""What a worker imports for the agent loop: nothing that only the client needs."""

import subprocess
import sys

HEAVY = {"pydantic", "yaml", "openai", "pymongo", "httpx2", "pyflink", "docstring_parser"}


def test_a_worker_loads_the_agent_loop_without_heavy_libraries() -> None:
    code = "import sys, udfs.core.agent_loop; print(*{m.split('.')[0] for m in sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(found.stdout.split())
