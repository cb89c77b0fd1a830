"""Judge any number of pictures into Parquet, on one machine or on many: the command `score`.

May import `photos` and what lies below it. Start with `command`. `items` says what there is to
judge and reads it; `pipeline` has the stages and runs them on this machine, `cluster` by Ray Data;
`parts` holds the results. pyarrow and Ray, beyond the base install, are imported when called for.
"""
