"""The laboratory that made the released model: from archives of photographs to models/release.

`collect` gathers, `photos` splits the annotated photos, `recipe` trains, `settle` settles,
`measure` tests, `publish` does all of it. Start with `publish`. May import what lies below; no
room that a user calls imports it.
"""
