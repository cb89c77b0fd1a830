"""Drawn people, masks and what is no mask: on bare faces in photographs, or from nothing.

`portrait` draws a person from a seed, `masks` puts a mask on a face worn right or wrong, `props`
draws hands, beards and scarves, `transplant` moves a real mask from one photograph to another.
May import `images` and `io`. Start with `shapes`, then `masks`.
"""
