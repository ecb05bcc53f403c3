"""The lock: the recorded behaviour of every subject, and what a change of it means."""
