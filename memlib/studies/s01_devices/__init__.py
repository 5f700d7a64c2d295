"""The study 01_devices: cells as programmed, read, aged and switched, and where their errors come from."""
