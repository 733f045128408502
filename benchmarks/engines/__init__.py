"""Whole models under serving engines: which rows were measured, and what a step of each costs."""
