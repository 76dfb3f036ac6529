"""Kills, failpoints and planted defects in; what the outside holds afterwards, judged, out."""
