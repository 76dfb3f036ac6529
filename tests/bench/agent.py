"""`run_agent` from Kafka to Kafka: what it adds to the model's time. A key of its own a row."""

from pathlib import Path
from statistics import quantiles

from deploy import stack
from deploy.java import client_environment
from tests.bench import ground

SQL = Path(__file__).parent / "sql"
PARTS = ("kafka", "mongodb", "flink")
MODEL_S = 0.2
WARM_UP_S = 30
QUESTION = b'{"question": "Which of the two routes is cheaper in winter, and why is that so?"}'


def added_latency_ms(rate: float, seconds: float = 30) -> list[float]:
    """Percentiles 1 to 99 of the time over the model's, at this rate of rows a second."""
    with ground.model("--delay", str(MODEL_S)) as url:
        environment = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "bench", "TIDEMILL_SQL": str(SQL)}
        with stack.private(PARTS, {**client_environment(), **environment}):
            ground.create_topics("questions", "answers")
            ground.submit("bench/agent")
            warm = ground.offered("questions", rate, WARM_UP_S, 0, QUESTION)
            total = warm + ground.offered("questions", rate, seconds, warm, QUESTION)
            ground.await_records("answers", total)
            asked, answered = ground.arrivals("questions"), ground.arrivals("answers")
    measured = (f"q{number}".encode() for number in range(warm, total))
    return quantiles((answered[k] - asked[k] - MODEL_S * 1000 for k in measured), n=100)
