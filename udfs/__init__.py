"""What runs inside Flink operators: functions for SQL, keyed functions, and their pure logic in `core`."""
