{{- define "perennial.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- /* `perennial` for a release of that name, else `<release>-perennial`. */}}
{{- define "perennial.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "perennial.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "perennial.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "perennial.selectorLabels" -}}
app.kubernetes.io/name: {{ include "perennial.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "perennial.labels" -}}
{{ include "perennial.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: perennial
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "perennial.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "perennial.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name must name an account when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "perennial.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The operator's configuration file: .Values.config, with the operator's image as the default of the agent's. */}}
{{- define "perennial.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if not $config.agent.image }}
{{- $_ := set $config.agent "image" (include "perennial.image" .) }}
{{- if and .Values.image.pullPolicy (not $config.agent.imagePullPolicy) }}
{{- $_ := set $config.agent "imagePullPolicy" .Values.image.pullPolicy }}
{{- end }}
{{- end }}
{{- if and .Values.imagePullSecrets (not $config.audit.imagePullSecrets) }}
{{- $_ := set $config.audit "imagePullSecrets" .Values.imagePullSecrets }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- /* Security contexts of the operator: they comply with the restricted Pod Security standard. */}}
{{- define "perennial.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "perennial.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* Checks that values.schema.json cannot express. */}}
{{- define "perennial.check" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.config.leaderElection.enabled) }}
{{- fail "replicas: two replicas without leader election would both act. Set config.leaderElection.enabled to true, or replicas to 1" }}
{{- end }}
{{- with .Values.config.leaderElection }}
{{- if not (and (lt (float64 .retrySeconds) (float64 .renewSeconds)) (lt (float64 .renewSeconds) (float64 .leaseSeconds))) }}
{{- fail "config.leaderElection: retrySeconds must be less than renewSeconds, and that less than leaseSeconds; else two replicas could act at once" }}
{{- end }}
{{- end }}
{{- end }}
