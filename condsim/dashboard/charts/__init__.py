"""Altair charts for the browser, a file a page.

A chart takes the table that its picture in `condsim.show` and its CSV are made of.
"""
