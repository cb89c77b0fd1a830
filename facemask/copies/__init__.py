"""Copies of pictures: exact and near ones, and the groups that they form.

May import `images` and `io`. Start with `duplicates`.
"""
