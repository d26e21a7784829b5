"""Watch events by `kopf`. The only package that imports it."""
