"""The client: reads a SQL script, assembles one Flink job from it, runs or submits it."""
