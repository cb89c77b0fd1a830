"""Scoring at scale: start with `__main__`, the parts that are measured; `nodes` has the cluster."""
