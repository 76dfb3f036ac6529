"""Pure logic: no Flink, no client library, no clock of its own. Tests call it without a cluster."""
