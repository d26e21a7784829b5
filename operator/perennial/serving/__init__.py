"""The controller of ModelDeployments: one Deployment per revision behind one Service."""
