"""Everything that follows from the models: CRDs, RBAC, the chart's schema, reference pages."""
