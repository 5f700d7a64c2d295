"""The study 06_power."""
