"""Bad input for the research team: the same lists, tried where they reach its jobs."""
