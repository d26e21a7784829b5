"""Keeps the scores of every comparison beside the reports, and tells what has changed since."""
