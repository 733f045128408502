"""What importers share: a spool on disk, what is found in it, and the trace that it becomes."""
