"""The local stack, Flink's configuration and the pinned requirements."""
