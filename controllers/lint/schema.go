package lint

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	apivalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/config/crd"
)

// schema of a kind, with the API server's own validators.
type schema struct {
	structural *structural.Structural
	values     apivalidation.SchemaValidator
	rules      *cel.Validator
}

// schemas of kinds: compiling the rules takes a while.
type schemas map[string]*schema

func (s schemas) of(kind string) (*schema, error) {
	if s[kind] == nil {
		made, err := schemaOf(kind)
		if err != nil {
			return nil, fmt.Errorf("read the definition of %s: %w", kind, err)
		}
		s[kind] = made
	}
	return s[kind], nil
}

func schemaOf(kind string) (*schema, error) {
	props, err := definitionOf(kind)
	if err != nil {
		return nil, err
	}
	out := &schema{}
	if out.structural, err = structural.NewStructural(props); err != nil {
		return nil, err
	}
	if out.values, _, err = apivalidation.NewSchemaValidator(props); err != nil {
		return nil, err
	}
	out.rules = cel.NewValidator(out.structural, true, celconfig.PerCallLimit)
	return out, nil
}

// definitionOf is the schema of a kind in its CRD.
func definitionOf(kind string) (*apiextensions.JSONSchemaProps, error) {
	raw, err := crd.Files.ReadFile(v1alpha1.GroupVersion.Group + "_" + kinds[kind] + ".yaml")
	if err != nil {
		return nil, err
	}
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(raw, &definition); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(definition.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return v.Name == v1alpha1.GroupVersion.Version
	})
	if i < 0 {
		return nil, fmt.Errorf("it has no version %s", v1alpha1.GroupVersion.Version)
	}
	props := &apiextensions.JSONSchemaProps{}
	return props, apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(definition.Spec.Versions[i].Schema.OpenAPIV3Schema, props, nil)
}

// Default fills in what an object of a kind leaves out, as the API server does.
func Default(kind string, object map[string]any) error {
	props, err := definitionOf(kind)
	if err != nil {
		return fmt.Errorf("read the definition of %s: %w", kind, err)
	}
	s, err := structural.NewStructural(props)
	if err != nil {
		return fmt.Errorf("read the definition of %s: %w", kind, err)
	}
	fillIn(s, object)
	return nil
}

func fillIn(s *structural.Structural, object map[string]any) {
	defaulting.PruneNonNullableNullsWithoutDefaults(object, s)
	defaulting.Default(object, s)
}

// validate is what the API server does when an object is created: unknown fields, defaults,
// the schema, lists, and then the rules.
func (o *object) validate(s *schema) {
	delete(o.value, "status")
	for _, path := range pruning.PruneWithOptions(o.value, s.structural, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		name := path[strings.LastIndexByte(path, '.')+1:]
		known := s.at(parentOf(path)).fields()
		o.add(Error, path, fmt.Sprintf("there is no field %.63q", name), orAll(nearest(name, known), known))
	}
	fillIn(s.structural, o.value)
	errs := apivalidation.ValidateCustomResource(nil, o.value, s.values)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, o.value)...)
	var rules field.ErrorList
	if !slices.ContainsFunc(errs, blocks) {
		rules, _ = s.rules.Validate(context.Background(), nil, s.structural, o.value, nil, celconfig.RuntimeCELCostBudget)
	}
	for _, err := range rules {
		path := strings.TrimPrefix(err.Field, "<nil>")
		// What is wrong with a part comes first: once it is right, the rule may hold.
		if !slices.ContainsFunc(errs, func(e *field.Error) bool {
			return strings.HasPrefix(e.Field, path+".") || strings.HasPrefix(e.Field, path+"[")
		}) {
			said, write := s.unit(path, path[strings.LastIndexByte(path, '.')+1:], o.scalar(path))
			if said == "" {
				said, write = explainRule(err.Detail)
			}
			o.add(Error, path, said, write)
		}
	}
	for _, err := range errs {
		// A rule says what to write, the pattern of the same field does not.
		if !slices.ContainsFunc(o.findings, func(f Finding) bool { return f.Path == err.Field }) {
			said, write := s.explain(err, o.scalar(err.Field))
			o.add(Error, err.Field, said, write)
		}
	}
}

// blocks holds for the errors after which the API server checks no rules.
func blocks(err *field.Error) bool {
	switch err.Type {
	case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
		return true
	default:
		return false
	}
}

// explainRule is the message of a rule, also of one that could not be evaluated, such as for
// an invalid regular expression.
func explainRule(detail string) (wrong, write string) {
	failed, message, ok := strings.Cut(detail, " evaluating rule: ")
	if !ok {
		return splitAdvice(detail)
	}
	wrong, write = splitAdvice(message)
	return wrong + " (" + failed + ")", write
}

// splitAdvice parts the message of a rule: what is wrong, and what to write.
func splitAdvice(message string) (wrong, write string) {
	wrong, write, _ = strings.Cut(message, ": ")
	return wrong, write
}

// explain says what is wrong with a value, and what its schema wants. given is the value; nil
// for what is no number, boolean or text.
func (s *schema) explain(err *field.Error, given any) (wrong, write string) {
	name := err.Field[strings.LastIndexByte(err.Field, '.')+1:]
	detail := strings.TrimPrefix(err.Detail, err.Field+" in body ")
	detail = strings.Replace(strings.TrimPrefix(detail, "should "), "must be of type", "be of type", 1)
	if wrong, write := s.unit(err.Field, name, given); wrong != "" && err.Type != field.ErrorTypeRequired {
		return wrong, write
	}
	if strings.Contains(detail, "have at least 1 properties") {
		return name + " is empty", "at least one of " + strings.Join(s.at(parts(err.Field)).fields(), ", ") + ", or leave it out"
	}
	switch err.Type {
	case field.ErrorTypeRequired:
		write = name + ": …"
		if about := s.at(parts(err.Field)).about(); about != "" {
			write += "  # " + about
		}
		return name + " is missing", write
	case field.ErrorTypeNotSupported:
		_, allowed, _ := strings.Cut(err.Detail, "supported values: ")
		return fmt.Sprintf("%s cannot be %s", name, value(err.BadValue)), "one of " + allowed
	case field.ErrorTypeTypeInvalid:
		wanted, _, _ := strings.Cut(strings.TrimPrefix(detail, "be of type "), ":")
		if text, ok := given.(string); ok && wanted == "integer" {
			write := ""
			if n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(text, "%"))); err == nil {
				write = fmt.Sprintf("%s: %d", name, n)
			}
			return fmt.Sprintf("%s must be a whole number, it is %s", name, value(text)), write
		}
		if allowed := s.at(parts(err.Field)).values(); len(allowed) > 0 && given != nil {
			return fmt.Sprintf("%s cannot be %v", name, given), "one of " + strings.Join(allowed, ", ")
		}
		if wanted == "string" && given != nil {
			return fmt.Sprintf("%s must be a string, it is %v", name, given), fmt.Sprintf("%s: %q", name, fmt.Sprint(given))
		}
		return fmt.Sprintf("%s must be of type %s, it is of type %s", name, wanted, value(err.BadValue)), ""
	case field.ErrorTypeDuplicate:
		return fmt.Sprintf("%s stands twice: %s", name, value(err.BadValue)), "another one, or leave it out"
	case field.ErrorTypeTooLong, field.ErrorTypeTooMany:
		return fmt.Sprintf("%s is too long", name), strings.TrimPrefix(err.Detail, "may not be more than ")
	default:
		return fmt.Sprintf("%s is %s, and must %s", name, value(err.BadValue), detail), ""
	}
}

// durations is the pattern of a duration in Belay's definitions, without its ends.
const durations = "([0-9]+(h|m|s|ms))+"

// unit says what is wrong with a duration that has no unit, or one that is none; empty for other
// fields and values.
func (s *schema) unit(path, name string, given any) (wrong, write string) {
	at := s.at(parts(path))
	if at.Structural == nil || at.ValueValidation == nil || !strings.Contains(at.ValueValidation.Pattern, durations) {
		return "", ""
	}
	number := fmt.Sprint(given)
	if text, ok := given.(string); ok {
		if regexp.MustCompile(at.ValueValidation.Pattern).MatchString(text) {
			return "", ""
		}
		number = strings.TrimSpace(text)
	}
	if n, err := strconv.ParseUint(number, 10, 32); err == nil {
		return fmt.Sprintf("%s is a duration and needs its unit, it is %s", name, value(given)), fmt.Sprintf("%s: %dm, or %ds", name, n, n)
	}
	if given == nil {
		return "", ""
	}
	return fmt.Sprintf("%s is a duration, and %s is none", name, value(given)), "numbers with their units, such as 30s, 5m or 1h30m"
}

func value(v any) string {
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%.63q", s)
	}
	return v1alpha1.Bounded(fmt.Sprint(v), 63)
}

// place is a part of a schema; nil where there is none.
type place struct{ *structural.Structural }

func (s *schema) at(path []string) place {
	now := s.structural
	for _, part := range path {
		switch next, ok := now.Properties[part]; {
		case ok:
			now = &next
		case now.Items != nil:
			now = now.Items
		default:
			return place{}
		}
	}
	return place{now}
}

func parentOf(path string) []string {
	all := parts(path)
	return all[:max(len(all)-1, 0)]
}

func (p place) fields() []string {
	if p.Structural == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(p.Properties))
}

// values are those that a field may have; none for a field that may have any.
func (p place) values() (out []string) {
	if p.Structural == nil || p.ValueValidation == nil {
		return nil
	}
	for _, one := range p.ValueValidation.Enum {
		out = append(out, fmt.Sprintf("%q", one.Object))
	}
	return out
}

// about is the first sentence of the field's description.
func (p place) about() string {
	if p.Structural == nil {
		return ""
	}
	said, _, _ := strings.Cut(strings.Join(strings.Fields(p.Description), " "), ". ")
	return strings.TrimSuffix(said, ".")
}

// nearest is the known name that is most like the given one; empty when none is.
func nearest(name string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least && d < len(k) {
			best, least = k, d
		}
	}
	return best
}

// distance is how many letters must be changed, added or removed, or swapped with the next.
func distance(a, b string) int {
	before, last, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
