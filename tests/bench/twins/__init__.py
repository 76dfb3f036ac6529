"""The patterns' work by direct calls between agents, in asyncio: what the log is compared with."""
