"""Drafting with an early exit and verifying with the whole model: what does it gain?"""
