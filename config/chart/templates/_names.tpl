{{- define "belay.image" -}}
{{- if .Values.image.tag -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- else if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ fail "image.digest and image.tag are both empty: set one of them (a chart made by make release has the digest)" }}
{{- end -}}
{{- end -}}

{{- define "belay.labels" -}}
app.kubernetes.io/part-of: belay
{{- end -}}

{{- define "belay.guardProbe" -}}
{{- if eq .Values.serviceAccount.guardProbeName .Values.serviceAccount.name -}}
{{ fail "serviceAccount.guardProbeName must not be the controller's: the policies exempt the controller, so its dry-runs would prove nothing" }}
{{- end -}}
{{ .Values.serviceAccount.guardProbeName }}
{{- end -}}
