package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"belay.dev/belay/hack/cluster/internal/binaries"
	"belay.dev/belay/hack/cluster/internal/images"
	"belay.dev/belay/hack/cluster/internal/pki"
	"belay.dev/belay/hack/cluster/internal/state"
)

func build(ctx context.Context, args []string) error {
	flags, stateDir := newFlags("build")
	dir, err := parse(flags, stateDir, args)
	if err != nil {
		return err
	}
	names := flags.Args()
	if len(names) == 0 {
		names = binaries.Names()
	}
	p := newProgress()
	release, err := dir.Lock(ctx, func() { p.say("waiting for another cluster command to end") })
	if err != nil {
		return err
	}
	defer release()
	if err := binaries.Build(ctx, dir, names, p.say); err != nil {
		return err
	}
	p.say("%s ready in %s", strings.Join(names, ", "), dir.Path("bin"))
	return nil
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }
func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

func image(ctx context.Context, args []string) error {
	flags, stateDir := newFlags("image")
	var env, labels list
	name := flags.String("name", "", "image name and tag, e.g. shop:v2")
	binary := flags.String("binary", "", "static binary; a relative path is looked up in the repository's root first")
	registry := flags.String("registry", "", "push to this registry instead of the cluster's own, e.g. 127.0.0.1:5000 (plain HTTP)")
	flags.Var(&env, "env", "K=V baked into the image (repeatable)")
	flags.Var(&labels, "label", "k=v label (repeatable)")
	dir, err := parse(flags, stateDir, args)
	if err != nil {
		return err
	}
	if *name == "" || *binary == "" {
		return fmt.Errorf("image needs --name NAME:TAG and --binary PATH")
	}
	cluster, err := dir.Load()
	if err != nil {
		return err
	}
	recipe := images.Recipe{Binary: *binary, Env: env, Labels: map[string]string{}}
	// `go -C` changed the folder, but people think in the repository's root.
	if fromRoot := filepath.Join(dir.ModuleRoot, "..", "..", *binary); !filepath.IsAbs(*binary) {
		if _, err := os.Stat(fromRoot); err == nil {
			recipe.Binary = fromRoot
		}
	}
	for _, pair := range env {
		if !strings.Contains(pair, "=") {
			return fmt.Errorf("--env %q: want K=V", pair)
		}
	}
	for _, pair := range labels {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("--label %q: want k=v", pair)
		}
		recipe.Labels[key] = value
	}
	if *registry == "" && cluster.Ports["registry"] == 0 {
		return fmt.Errorf("this cluster has no registry yet: run `up` first, or name one with --registry")
	}
	if *registry == "" {
		*registry = fmt.Sprintf("127.0.0.1:%d", cluster.Ports["registry"])
	}
	reference, err := images.Push(ctx, *registry, *name, recipe)
	if err != nil {
		return err
	}
	fmt.Println(reference)
	return nil
}

func kubeconfig(ctx context.Context, args []string) error {
	flags, stateDir := newFlags("kubeconfig")
	var groups list
	user := flags.String("user", "", "user name of a client certificate")
	flags.Var(&groups, "group", "group of the user (repeatable)")
	account := flags.String("serviceaccount", "", "NAMESPACE/NAME to make a token for")
	validity := flags.Duration("duration", 24*time.Hour, "how long the service account's token is valid")
	output := flags.String("output", "", "file to write instead of printing")
	dir, err := parse(flags, stateDir, args)
	if err != nil {
		return err
	}
	cluster, err := dir.Load()
	if err != nil {
		return err
	}
	if cluster.Ports["kube-apiserver"] == 0 {
		return fmt.Errorf("this cluster has no API server yet: run `up` first")
	}
	if (*user == "") == (*account == "") {
		return fmt.Errorf("kubeconfig needs --user NAME or --serviceaccount NAMESPACE/NAME, one of them")
	}
	ca, err := pki.Open(dir.Path("pki"))
	if err != nil {
		return err
	}
	name, credential, err := *user, pki.Credential{}, error(nil)
	if *account != "" {
		name = *account
		credential, err = token(ctx, dir, *account, *validity)
	} else {
		// Named by its content, so that two users cannot share a file.
		credential.Certificate = "user-" + markOf(*user+"\x00"+strings.Join(groups, "\x00"))
		err = ca.Ensure(pki.Leaf{Name: credential.Certificate, User: *user, Groups: groups})
	}
	if err != nil {
		return err
	}
	raw, err := ca.Kubeconfig(fmt.Sprintf("https://127.0.0.1:%d", cluster.Ports["kube-apiserver"]), name, credential)
	if err != nil {
		return err
	}
	if *output != "" {
		return state.WriteFile(*output, raw, 0o600)
	}
	_, err = os.Stdout.Write(raw)
	return err
}

func token(ctx context.Context, dir state.Dir, account string, validity time.Duration) (pki.Credential, error) {
	namespace, name, ok := strings.Cut(account, "/")
	if !ok {
		return pki.Credential{}, fmt.Errorf("--serviceaccount %q: want NAMESPACE/NAME", account)
	}
	out, err := kubectl(ctx, dir, "", "create", "token", "-n", namespace, name, "--duration="+validity.String())
	return pki.Credential{Token: strings.TrimSpace(out)}, err
}
