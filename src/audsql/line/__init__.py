"""LINE: its numbers, its grammar, its message objects, and a thin client for it."""
