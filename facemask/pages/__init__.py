"""The tables of the README, the docs and the model card, filled from reports.

May import `io`. Start with `fill`.
"""
