"""The laboratory that made the released model: from archives of photographs to models/release.

`collect` gathers, `recipe` trains, `settle` settles, `measure` tests, `publish` does all of it.
May import every room but `benchmarks`; no room that a user calls imports it. Start with `publish`.
"""
