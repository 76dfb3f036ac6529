"""Nothing in, the SDR team at work on the sample leads out: `tidemill demo`.

The stack comes up while the client's Java starts; the leads are sent while the jobs are submitted,
and wait on their topic. Then one watches, until nothing is in flight. The stack stays up.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from connectors.kafka import ensure_topics
from connectors.mongodb import bulk_upsert, client
from connectors.settings import settings
from deploy import stack
from jobs.balance import Watch, balance_table, verdict
from jobs.demo_view import Progress, print_summary
from jobs.errors import TidemillError
from jobs.fates import Balance, Fate
from jobs.lead_files import Event, unchecked_events
from jobs.send import PARTITIONS, send_events
from jobs.sql_dir import sql_dir
from jobs.team_topics import TeamTopics, require_external, team_topics

TEAM = "sdr"
# In the order in which a lead needs them, but for the one whose mails are not the first.
JOBS = ("lead_ingestion", "lead_scoring", "active_outreach", "send_email", "nurture_campaign")
# 7 days of a campaign in 20 s.
CLOCK_SPEED = 7 * 86400 / 20
BOUND_S = 300.0
QUIET_S = 20.0
LOOK_S = 1.0
