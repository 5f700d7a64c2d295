"""One module per notebook: its points, figure and claims."""
