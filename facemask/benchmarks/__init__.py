"""Measurements for the README and the docs: speed, faces found, copies found, findings.

May import every room; none imports it. Start with `speed`.
"""
