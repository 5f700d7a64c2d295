"""The study 08_parasitics."""
