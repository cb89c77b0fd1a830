"""The laboratory that made models/finder: a small network that finds faces in one look.

`collect` gathers photos and labels, `scenes` makes training pictures of them, `targets` says what
the `network` should answer, `train` trains it, `publish` exports it; `measure` sets it beside
others: its `teachers`, and `blazeface`, which it replaced. `photos.finder` runs it without
TensorFlow. May import `release` and what lies below.
"""
