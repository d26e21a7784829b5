{{- /* Written by `make generate`; changes are made in operator/perennial. */}}
{{- define "perennial.rules.operator" -}}
# The resources that it works for. Their specs are their users' alone.
- apiGroups: ["perennial.dev"]
  resources: [trainingjobs, modeldeployments, driftmonitors]
  verbs: [get, list, watch]
# What it saw and did.
- apiGroups: ["perennial.dev"]
  resources: [trainingjobs/status, modeldeployments/status, driftmonitors/status]
  verbs: [update]
# Attempts of a TrainingJob; replaced ones and those beyond history.runs go.
- apiGroups: ["batch"]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
# Comparisons of a DriftMonitor; polls of a TrainingJob's inputs, which go when they are not wanted any more.
- apiGroups: ["batch"]
  resources: [cronjobs]
  verbs: [get, list, watch, create, patch, delete]
# Revisions of a ModelDeployment; replaced and failed ones go.
- apiGroups: ["apps"]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
# Scaling of a revision; goes with it.
- apiGroups: ["autoscaling"]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
# Keeps a drained node from taking all pods that serve at once.
- apiGroups: ["policy"]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
# Who may call a model; goes when the spec asks for none.
- apiGroups: ["networking.k8s.io"]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
# The stable address of a ModelDeployment; where the workers of a TrainingJob meet.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch]
# Why a pod waits or failed, and what its agent left as termination message.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# Transitions, as `kubectl describe` shows them.
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end }}

{{- define "perennial.rules.leaderElection" -}}
# Which replica acts; in the operator's own namespace only.
- apiGroups: ["coordination.k8s.io"]
  resources: [leases]
  verbs: [get, create, update]
{{- end }}

{{- define "perennial.rules.view" -}}
# Look at the resources and their status.
- apiGroups: ["perennial.dev"]
  resources: [trainingjobs, modeldeployments, driftmonitors]
  verbs: [get, list, watch]
# Look at the number of replicas.
- apiGroups: ["perennial.dev"]
  resources: [modeldeployments/scale]
  verbs: [get]
{{- end }}

{{- define "perennial.rules.edit" -}}
# Make, change and delete resources; never their status.
- apiGroups: ["perennial.dev"]
  resources: [trainingjobs, modeldeployments, driftmonitors]
  verbs: [create, delete, deletecollection, patch, update]
# `kubectl scale`.
- apiGroups: ["perennial.dev"]
  resources: [modeldeployments/scale]
  verbs: [patch, update]
{{- end }}
