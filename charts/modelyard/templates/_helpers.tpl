{{- define "modelyard.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "modelyard.fullname" -}}
{{- $name := include "modelyard.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "modelyard.selectorLabels" -}}
app.kubernetes.io/name: {{ include "modelyard.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "modelyard.labels" -}}
{{ include "modelyard.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: modelyard
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "modelyard.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "modelyard.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: name the ServiceAccount that serviceAccount.create=false leaves to you" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* One image reference; call with (list $root "operator"). */ -}}
{{- define "modelyard.image" -}}
{{- $root := index . 0 }}
{{- $image := index $root.Values.image (index . 1) }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default $root.Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{- define "modelyard.storeSecret" -}}
{{- if .Values.store.existingSecret }}
{{- .Values.store.existingSecret }}
{{- else if and .Values.store.accessKey .Values.store.secretKey }}
{{- printf "%s-store" (include "modelyard.fullname" .) }}
{{- else }}
{{- fail "store: set store.existingSecret (a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or store.accessKey and store.secretKey" }}
{{- end }}
{{- end }}

{{- /* Who signs the store's certificate, as an environment variable; nothing where the public authorities do. */ -}}
{{- define "modelyard.storeAuthority" -}}
{{- $bundle := .Values.store.caBundle | trim }}
{{- $from := .Values.store.caBundleFrom }}
{{- if gt (len (compact (list $bundle $from.configMap $from.secret))) 1 }}
{{- fail "store: give only one of store.caBundle, store.caBundleFrom.configMap and store.caBundleFrom.secret" }}
{{- end }}
{{- if $bundle }}
- name: MODELYARD_STORE_CA
  value: {{ $bundle | quote }}
{{- else if or $from.configMap $from.secret }}
- name: MODELYARD_STORE_CA
  valueFrom:
    {{ ternary "configMapKeyRef" "secretKeyRef" (ne $from.configMap "") }}:
      name: {{ $from.configMap | default $from.secret }}
      key: {{ $from.key }}
{{- end }}
{{- end }}

{{- /* No user by number: the image has one, and a cluster whose policy refuses fixed numbers chooses its own. */ -}}
{{- define "modelyard.podSecurityContext" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "modelyard.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* Where pods of the release run. */ -}}
{{- define "modelyard.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.operator.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.operator.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The name under which run pods reach the operator, and for which its certificate is made. */ -}}
{{- define "modelyard.endpointHost" -}}
{{- printf "%s.%s.svc" (include "modelyard.fullname" .) .Release.Namespace }}
{{- end }}
