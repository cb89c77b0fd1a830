"""How good a trained model is, and how far to believe it.

Published and clean figures, leaks, shortcuts, likely label errors, folds, faces from elsewhere,
and a verdict on overfitting. May import `models` and what lies below. Start with `evaluate`.
"""
