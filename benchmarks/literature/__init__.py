"""What others measured on hardware that is not at hand, and programs of what they measured, written down from the shapes that they name."""
