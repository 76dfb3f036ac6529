"""Pure logic: no Flink, no client library, no clock but for durations. Tests call it without a cluster."""
