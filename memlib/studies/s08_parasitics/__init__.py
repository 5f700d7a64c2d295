"""What do resistive wires cost in accuracy, and how well are their currents computed?"""
