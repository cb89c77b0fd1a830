"""Files: written whole or not at all, JSON, locks, Markdown tables, work ahead in threads.

The lowest room: it imports nothing of the project. Start with `files`.
"""
