{{/* One agent to a node, so one release to a cluster: the names are fixed. */}}
{{- define "bulkhead.labels" -}}
{{ include "bulkhead.selector" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "bulkhead.selector" -}}
app.kubernetes.io/name: bulkhead
{{- end }}

{{- define "bulkhead.account" -}}
{{ .Values.serviceAccount.name | default "bulkhead" }}
{{- end }}

{{/* The folder of the runtime's socket. */}}
{{- define "bulkhead.runtimeDir" -}}
{{ dir (trimPrefix "unix://" .Values.runtime.endpoint) }}
{{- end }}
