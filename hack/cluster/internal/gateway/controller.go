package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/gateway-api/pkg/client/clientset/versioned"
	"sigs.k8s.io/gateway-api/pkg/client/informers/externalversions"
)

const (
	// settle joins the changes of one rollout step into one configuration.
	settle = 50 * time.Millisecond
	// again is the pause after a failure, most often a lost race on a status.
	again = 500 * time.Millisecond
)

// Controller keeps a Front in line with the cluster.
type Controller struct {
	front   *Front
	port    int32
	address string

	core    informers.SharedInformerFactory
	gateway externalversions.SharedInformerFactory
	client  versioned.Interface
	changed chan struct{}
	loaded  []json.RawMessage
}

// NewController watches with the given rights. Address and port are what the
// Gateway's status will say.
func NewController(config *rest.Config, front *Front, address string, port int32) (*Controller, error) {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = 200, 400 // one status write per route and change
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a Gateway API client: %w", err)
	}
	return &Controller{
		front: front, port: port, address: address, client: client, changed: make(chan struct{}, 1),
		core: informers.NewSharedInformerFactory(core, 0), gateway: externalversions.NewSharedInformerFactory(client, 0),
	}, nil
}

// Run serves until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	v1 := c.gateway.Gateway().V1()
	for _, informer := range []cache.SharedIndexInformer{
		c.core.Core().V1().Services().Informer(), c.core.Discovery().V1().EndpointSlices().Informer(),
		v1.GatewayClasses().Informer(), v1.Gateways().Informer(), v1.HTTPRoutes().Informer(), v1.GRPCRoutes().Informer(),
		c.gateway.Gateway().V1beta1().ReferenceGrants().Informer(),
	} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { c.nudge() }, UpdateFunc: func(any, any) { c.nudge() }, DeleteFunc: func(any) { c.nudge() },
		}); err != nil {
			return fmt.Errorf("watch the cluster: %w", err)
		}
	}
	c.core.Start(ctx.Done())
	c.gateway.Start(ctx.Done())
	c.core.WaitForCacheSync(ctx.Done())
	c.gateway.WaitForCacheSync(ctx.Done())
	for c.nudge(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-c.changed:
		}
		time.Sleep(settle)
		if err := c.apply(ctx); err != nil && ctx.Err() == nil {
			log.Printf("apply: %v", err)
			time.AfterFunc(again, c.nudge)
		}
	}
}

func (c *Controller) nudge() {
	select {
	case c.changed <- struct{}{}:
	default: // one is waiting already, it will see this change too
	}
}

// apply loads first and reports after: a status is a promise that the
// configuration carrying that generation is the one in force.
func (c *Controller) apply(ctx context.Context) error {
	world, err := c.observe()
	if err != nil {
		return err
	}
	translation, err := Translate(world)
	if err != nil {
		return err
	}
	same := func(a, b json.RawMessage) bool { return string(a) == string(b) }
	if c.loaded == nil || !slices.EqualFunc(c.loaded, translation.Routes, same) {
		begin := time.Now()
		if err := c.front.Load(translation.Routes); err != nil {
			return err
		}
		c.loaded = translation.Routes
		log.Printf("loaded %d routes in %s", len(translation.Routes), time.Since(begin).Round(time.Microsecond))
	}
	return errors.Join(c.reportRoutes(ctx, world, translation), c.reportGateways(ctx, world, translation))
}

func (c *Controller) observe() (World, error) {
	w := World{Port: c.port, Services: map[string]*corev1.Service{}}
	v1, all := c.gateway.Gateway().V1(), labels.Everything()
	services, err1 := c.core.Core().V1().Services().Lister().List(all)
	grants, err2 := c.gateway.Gateway().V1beta1().ReferenceGrants().Lister().List(all)
	var err3, err4, err5, err6, err7 error
	w.Slices, err3 = c.core.Discovery().V1().EndpointSlices().Lister().List(all)
	w.Classes, err4 = v1.GatewayClasses().Lister().List(all)
	w.Gateways, err5 = v1.Gateways().Lister().List(all)
	w.HTTPRoutes, err6 = v1.HTTPRoutes().Lister().List(all)
	w.GRPCRoutes, err7 = v1.GRPCRoutes().Lister().List(all)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil {
		return w, fmt.Errorf("read the watched objects: %w", err)
	}
	for _, s := range services {
		w.Services[s.Namespace+"/"+s.Name] = s
	}
	for _, g := range grants {
		for _, from := range g.Spec.From {
			for _, to := range g.Spec.To {
				grant := Grant{From: string(from.Namespace), Kind: string(from.Kind), To: g.Namespace}
				if to.Name != nil {
					grant.ToName = string(*to.Name)
				}
				if to.Kind == "Service" {
					w.Grants = append(w.Grants, grant)
				}
			}
		}
	}
	return w, nil
}
