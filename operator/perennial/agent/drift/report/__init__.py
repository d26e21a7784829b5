"""The report: JSON model, HTML page, plots and texts."""
