"""The laboratory's trainings as a search by Ray Tune, on one machine or many, into one table.

`studies` lists what there is to train, `search` trains it by Ray, `table` holds the results and
says what is left; `python -m facemask.experiments` joins them. Start with `table`. May import
`finder` and what lies below; no room that a user calls imports it. Ray, beyond the base install,
is imported by `search` alone.
"""
