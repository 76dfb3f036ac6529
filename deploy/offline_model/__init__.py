"""Chat and embedding requests of the OpenAI API in; answers derived from their own words out.

The local stack's stand-in for a language model: no weights, no network, the same answer every time.
It reads the messages (`reading`), weighs them (`evidence`, `rubric`, `judging`), and fills the
requested schema (`answering`, `texts`, `letters`, `reporting`) or calls tools (`tools`).
"""

from deploy.offline_model.faults import Fault
from deploy.offline_model.running import OfflineModel

__all__ = ["Fault", "OfflineModel"]
