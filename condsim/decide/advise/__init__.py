"""Advice: does it pay, why, what would gain most, when does it flip, on what does that rest."""
