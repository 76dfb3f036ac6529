"""What runs inside Flink operators: functions for SQL, keyed functions; pure logic in `core`."""
