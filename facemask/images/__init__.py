"""Pictures: read as people have them, resized and cut, augmented; boxes round faces.

May import `io`. Start with `reading`, then `crops`.
"""
