"""Figures: of answers (accuracy, recall, calibration) and of found faces.

May import `images` and `io`. Start with `classification`.
"""
