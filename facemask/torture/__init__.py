"""What users do to the pipeline, done to it on purpose, and counts of what came of it.

Killed runs, full disks, hostile files, long runs: each module has a `measure` that gives a part of
reports/torture.json; `python -m facemask.torture` runs them all. May import every room; none
imports it. Start with `__main__`.
"""
