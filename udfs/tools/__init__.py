"""Tools: typed Python functions that an agent's definition may allow by dotted path."""
