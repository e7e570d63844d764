package workload

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestFixedConfig: all ways in which a template names ConfigMaps and Secrets, and names
// that change with the content.
func TestFixedConfig(t *testing.T) {
	for name, c := range map[string]struct{ template, want string }{
		"nothing": {`{spec: {containers: [{name: app, env: [{name: A, value: b}]}]}}`, ""},
		"every way": {`{spec: {
			volumes: [{name: a, configMap: {name: mounted}}, {name: b, secret: {secretName: keys}}, {name: c, projected: {sources: [{configMap: {name: part}}, {secret: {name: token}}, {serviceAccountToken: {path: t}}]}}],
			initContainers: [{name: i, envFrom: [{configMapRef: {name: all}}]}],
			containers: [{name: app, envFrom: [{secretRef: {name: all}}], env: [{name: A, valueFrom: {configMapKeyRef: {name: one, key: k}}}, {name: B, valueFrom: {secretKeyRef: {name: one, key: k}}}, {name: C, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]}]}}`,
			"ConfigMap all, ConfigMap mounted, ConfigMap one, ConfigMap part, Secret all, Secret keys, Secret one, Secret token"},
		"generated":  {`{spec: {volumes: [{name: a, configMap: {name: app-5c8k2b4f7m}}], containers: [{name: app}]}}`, ""},
		"a checksum": {`{metadata: {annotations: {checksum/config: "1"}}, spec: {volumes: [{name: a, configMap: {name: app}}], containers: [{name: app}]}}`, ""},
		"of all":     {`{spec: {volumes: [{name: a, configMap: {name: kube-root-ca.crt}}], containers: [{name: app}]}}`, ""},
		"unreadable": {`{spec: {volumes: 7}}`, ""},
	} {
		var template map[string]any
		if err := yaml.Unmarshal([]byte(c.template), &template); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(FixedConfig(template), ", "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestConfigWarning(t *testing.T) {
	template := map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "app", "envFrom": []any{
		map[string]any{"configMapRef": map[string]any{"name": "a"}}, map[string]any{"configMapRef": map[string]any{"name": "b"}},
		map[string]any{"configMapRef": map[string]any{"name": "c"}}, map[string]any{"configMapRef": map[string]any{"name": "d"}}}}}}}
	wrong, write := ConfigWarning(template)
	if want := "the template names ConfigMap a, ConfigMap b, ConfigMap c and 1 more, and a change of their content alone is no new version"; !strings.HasPrefix(wrong, want) || !strings.Contains(write, "checksum/config") {
		t.Errorf("%q, %q", wrong, write)
	}
	if wrong, write = ConfigWarning(nil); wrong != "" || write != "" {
		t.Errorf("without a template: %q, %q", wrong, write)
	}
}
