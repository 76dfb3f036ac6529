"""Measurements: ratios against a baseline of the same run, by `make bench`. No test is here."""
