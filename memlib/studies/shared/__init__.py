"""What several studies share: labelled designs, effects and their comparisons, and lists of trained networks."""
