"""The laboratory of a face finder of our own: a small network that finds faces in one look.

`collect` gathers photos and labels, `scenes` makes training pictures of them, `targets` says what
the `network` should answer, `train` trains it, `decode` runs it without TensorFlow, `publish`
exports it; `measure` sets it beside others, among them the `teachers`. No release is made of it
yet: `photos.finder` is what finds faces. May import `release` and what lies below.
"""
