"""From a photo, a folder, a video or a camera to an answer, and to a picture of it.

May import `models`, `images` and `io`. Start with `predict`, then `finder`; `batch` is what the
command does.
"""
