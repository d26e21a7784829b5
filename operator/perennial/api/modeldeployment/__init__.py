"""The ModelDeployment resource."""
