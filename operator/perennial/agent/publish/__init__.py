"""`perennial agent publish`: the sidecar that publishes a training's output."""
