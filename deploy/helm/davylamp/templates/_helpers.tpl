{{- define "davylamp.labels" -}}
app.kubernetes.io/name: davylamp
app.kubernetes.io/component: gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "davylamp.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "davylamp.sees-pods" -}}
{{- if and .Values.actions.namespaces (not .Values.lineage.kubernetes) -}}
{{- fail "actions.namespaces needs lineage.kubernetes: a pod is found by what was learnt of it" -}}
{{- end -}}
{{- if .Values.lineage.kubernetes -}}true{{- end -}}
{{- end }}

{{- /* Asked on the node's loopback, where the kubelet is too. */}}
{{- define "davylamp.probe" -}}
httpGet:
  host: 127.0.0.1
  port: {{ . }}
  path: /healthz
{{- end }}
