"""Pure logic: no Flink, no client library, no clock but a stopwatch. Tests need no cluster."""
