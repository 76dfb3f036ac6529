"""All that a hostile or broken world sends in; where each ended, as the outside tells, out."""
