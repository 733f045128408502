"""What others measured on hardware that is not at hand, and programs of what they measured.

The programs are written down from the shapes that the sources name.
"""
