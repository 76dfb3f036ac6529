"""A number of agents in, what it takes that each tells all others one thing, by direct calls, out.

The blackboard's twin. Every pair of agents that has something to say to each other needs a
connection, and every update goes out once for each who must know it. Connections are real TCP.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field

MOST_OPENED = 150  # more agents than that would need more open files than a process may have


@dataclass(frozen=True)
class Cost:
    """What one round cost. `seconds` None: it was counted, not run."""

    agents: int
    connections: int
    messages: int
    seconds: float | None


@dataclass
class Agent:
    """One agent: a server for those that call it, and a connection to everybody else."""

    number: int
    port: int = 0
    heard: dict[int, str] = field(default_factory=dict)
    sent: int = 0
    peers: list[asyncio.StreamWriter] = field(default_factory=list)
    called: int = 0
    _server: asyncio.Server | None = None
    _readers: list[asyncio.Task[None]] = field(default_factory=list)

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.append(writer)
        await self._listen_to(reader)

    async def call(self, other: "Agent") -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", other.port)
        self.peers.append(writer)
        self.called += 1
        self._readers.append(asyncio.create_task(self._listen_to(reader)))

    async def _listen_to(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            said = json.loads(line)
            self.heard[said["source"]] = said["value"]

    async def publish(self) -> None:
        said = {"source": self.number, "subject": "incident", "predicate": "seen", "value": "x"}
        line = json.dumps(said).encode() + b"\n"
        for peer in self.peers:
            peer.write(line)
            self.sent += 1
        await asyncio.gather(*(peer.drain() for peer in self.peers))

    async def close(self) -> None:
        for peer in self.peers:
            peer.close()
        await asyncio.gather(*(p.wait_closed() for p in self.peers), return_exceptions=True)
        assert self._server
        self._server.close()


async def told_by_each(count: int) -> Cost:
    """Each of `count` agents tells all others one thing."""
    agents = [Agent(number) for number in range(count)]
    await asyncio.gather(*(agent.listen() for agent in agents))
    for agent in agents:  # one after the other: each pair has one connection
        await asyncio.gather(*(agent.call(other) for other in agents[: agent.number]))
    while any(len(agent.peers) < count - 1 for agent in agents):
        await asyncio.sleep(0)
    begun = time.perf_counter()
    await asyncio.gather(*(agent.publish() for agent in agents))
    while any(len(agent.heard) < count - 1 for agent in agents):
        await asyncio.sleep(0.001)
    seconds = time.perf_counter() - begun
    await asyncio.gather(*(agent.close() for agent in agents))
    connections = sum(agent.called for agent in agents)
    return Cost(count, connections, sum(agent.sent for agent in agents), seconds)


def counted(count: int) -> Cost:
    """The same, by what `told_by_each` does for each pair."""
    return Cost(count, count * (count - 1) // 2, count * (count - 1), None)


def measure(count: int) -> Cost:
    """One round; counted where the connections cannot all be open."""
    return asyncio.run(told_by_each(count)) if count <= MOST_OPENED else counted(count)
