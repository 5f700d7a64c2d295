"""The study 11_spice."""
