"""From an archive to a split: download, unpack, prepare; the drawn sample; annotated scenes.

May import `copies`, `drawing` and what lies below them. Start with `download`, then `prepare`.
"""
