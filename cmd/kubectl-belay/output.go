package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// output is the flag -o: a screen for people without it, or else the objects themselves.
type output struct {
	flags *genericclioptions.PrintFlags
	// screens are the words of -o that name another screen.
	screens []string
}

func outputOf(cmd *cobra.Command, screens ...string) *output {
	o := &output{flags: genericclioptions.NewPrintFlags(""), screens: screens}
	o.flags.AddFlags(cmd)
	formats := slices.Concat(screens, []string{"json", "yaml", "name", "jsonpath=…"})
	cmd.Flags().Lookup("output").Usage = fmt.Sprintf("print the objects instead: one of %q", formats)
	for _, hidden := range []string{"allow-missing-template-keys", "show-managed-fields", "template"} {
		if f := cmd.Flags().Lookup(hidden); f != nil {
			f.Hidden = true
		}
	}
	return o
}

// screen reports whether a screen is asked for, and which.
func (o *output) screen() (name string, ok bool) {
	format := *o.flags.OutputFormat
	return format, format == "" || slices.Contains(o.screens, format)
}

// print writes an object in the format of -o.
func (a *app) print(o *output, object runtime.Object) error {
	types, err := scheme()
	if err != nil {
		return err
	}
	printer, err := o.flags.WithTypeSetter(types).ToPrinter()
	if err != nil {
		return usage(err)
	}
	if meta.IsListType(object) {
		if err := setKinds(object, types); err != nil {
			return err
		}
	}
	if *o.flags.OutputFormat == "name" && meta.IsListType(object) {
		return meta.EachListItem(object, func(item runtime.Object) error { return printer.PrintObj(item, a.streams.Out) })
	}
	return printer.PrintObj(object, a.streams.Out)
}

// setKinds sets the kind of each object of a list. A client reads them without it.
func setKinds(list runtime.Object, types *runtime.Scheme) error {
	return meta.EachListItem(list, func(item runtime.Object) error {
		kind, err := apiutil.GVKForObject(item, types)
		item.GetObjectKind().SetGroupVersionKind(kind)
		return err
	})
}
