"""Which hardware is the cheapest for a given accuracy, and what decides accuracy most?

A formula for lost accuracy, Pareto fronts, searches, indices of sensitivity, and recommended designs.
"""
