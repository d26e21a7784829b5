"""The serving room: how a ModelDeployment becomes a Deployment per revision behind one Service."""
