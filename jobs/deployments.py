"""What was submitted where in, where a job of that name goes on out.

`flink/deployments.json` under the home folder knows under which id, and on which cluster, each job
was last submitted, and where its last savepoint lies.
"""

import json
import os
from pathlib import Path
from urllib.parse import unquote, urlparse

from jobs.cluster import Cluster
from jobs.errors import TidemillError

LOCAL = "local"


class Deployments:
    """The jobs of one cluster; those of the `local` one have their checkpoints under `home`."""

    def __init__(self, home: Path, cluster: Cluster, *, local: bool) -> None:
        self._folder = home / "flink"
        self._file = self._folder / "deployments.json"
        self._cluster, self._place = cluster, LOCAL if local else cluster.rest_url

    def submitted(self, name: str, job_id: str, resumed_from: str | None = None) -> None:
        entry = {"job_id": job_id}
        self._save(name, entry | ({"resumed_from": resumed_from} if resumed_from else {}))

    def stopped(self, name: str, savepoint: str) -> None:
        self._save(name, {"savepoint": savepoint})

    def resume_path(self, name: str) -> str | None:
        """Where the job goes on: its last savepoint, else its last checkpoint that is whole, else
        where it went on the last time.

        None where it never ran there, or never came to one. Raises TidemillError where it ran and
        nobody can tell.
        """
        entry = self._load().get(self._key(name), {})
        last = self._last(name, entry["job_id"]) if "job_id" in entry else None
        return last or self._there(entry.get("savepoint") or entry.get("resumed_from"))

    def _last(self, name: str, job_id: str) -> str | None:
        return self._retained(job_id) if self._place == LOCAL else self._told(name, job_id)

    def _there(self, path: str | None) -> str | None:
        here = path and path.startswith("file:") and self._place == LOCAL
        return path if not here or Path(unquote(urlparse(path).path)).exists() else None

    def _key(self, name: str) -> str:
        return name if self._place == LOCAL else f"{name} @ {self._place}"

    def _retained(self, job_id: str) -> str | None:
        """The newest that is whole. A savepoint is there for which a stop did not wait: Flink has
        thrown the checkpoints away by then."""
        found = [
            *(self._folder / "checkpoints" / job_id).glob("chk-*/_metadata"),
            *(self._folder / "savepoints").glob(f"savepoint-{job_id[:6]}-*/_metadata"),
        ]
        newest = max(found, key=lambda file: file.stat().st_mtime_ns, default=None)
        return newest.parent.as_uri() if newest else None

    def _told(self, name: str, job_id: str) -> str | None:
        """What the cluster says. It forgets a job an hour or so after its end, and all of them when
        its JobManager starts anew."""
        if not any(job.id == job_id for job in self._cluster.jobs()):
            raise TidemillError(
                f"{name} ran as job {job_id}, which the cluster no longer knows, so nobody can "
                "tell where its last checkpoint lies",
                "name it with --from-savepoint, or go on without what the job knew: --fresh",
            )
        return self._cluster.last_checkpoint(job_id)

    def _load(self) -> dict[str, dict[str, str]]:
        try:
            return dict(json.loads(self._file.read_text()))
        except (OSError, ValueError):
            return {}

    def _save(self, name: str, entry: dict[str, str]) -> None:
        known = self._load()
        known[self._key(name)] = entry
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._file.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(known, indent=2))
        temporary.replace(self._file)
