"""Formats shared between processes: operator settings, agent commands, termination messages, manifests."""
