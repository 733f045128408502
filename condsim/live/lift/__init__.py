"""Reads a module's own forward and puts its parts behind routing marks."""
