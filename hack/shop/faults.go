package main

import (
	"fmt"
	"strconv"
	"time"
)

// faults is how a version of the shop is bad. They come from the image's
// environment, so that a bad version is a different image, as in real life.
type faults struct {
	version          string
	errorRate        float64
	addedLatency     time.Duration
	doubleChargeRate float64
	// doubleChargeCoupons charges everybody twice who comes with a coupon.
	doubleChargeCoupons bool
	crashAfter          time.Duration
	drain               time.Duration
	// coldStart is how long after its start the shop is cold: it then also fails
	// coldErrorRate of the requests, and adds coldLatency to each.
	coldStart     time.Duration
	coldErrorRate float64
	coldLatency   time.Duration
}

// readFaults refuses what it cannot read: a demo with a misspelt fault would
// prove the opposite of what it shows.
func readFaults(getenv func(string) string) (faults, error) {
	f := faults{version: getenv("SHOP_VERSION"), drain: 3 * time.Second}
	if f.version == "" {
		f.version = "dev"
	}
	for name, target := range map[string]*float64{"SHOP_ERROR_RATE": &f.errorRate, "SHOP_DOUBLE_CHARGE_RATE": &f.doubleChargeRate, "SHOP_COLD_ERROR_RATE": &f.coldErrorRate} {
		value := getenv(name)
		if value == "" {
			continue
		}
		rate, err := strconv.ParseFloat(value, 64)
		if err != nil || !(rate >= 0 && rate <= 1) {
			return f, fmt.Errorf("%s=%q: want a share between 0 and 1, e.g. 0.05", name, value)
		}
		*target = rate
	}
	for name, target := range map[string]*time.Duration{
		"SHOP_ADDED_LATENCY": &f.addedLatency, "SHOP_CRASH_AFTER": &f.crashAfter, "SHOP_DRAIN": &f.drain,
		"SHOP_COLD_START": &f.coldStart, "SHOP_COLD_LATENCY": &f.coldLatency,
	} {
		value := getenv(name)
		if value == "" {
			continue
		}
		duration, err := time.ParseDuration(value)
		if err != nil || duration < 0 {
			return f, fmt.Errorf("%s=%q: want a duration, e.g. 300ms", name, value)
		}
		*target = duration
	}
	if value := getenv("SHOP_DOUBLE_CHARGE_COUPONS"); value != "" {
		on, err := strconv.ParseBool(value)
		if err != nil {
			return f, fmt.Errorf("SHOP_DOUBLE_CHARGE_COUPONS=%q: want true or false", value)
		}
		f.doubleChargeCoupons = on
	}
	if f.coldStart == 0 && (f.coldErrorRate > 0 || f.coldLatency > 0) {
		return f, fmt.Errorf("SHOP_COLD_ERROR_RATE and SHOP_COLD_LATENCY need SHOP_COLD_START, e.g. 20s")
	}
	return f, nil
}

// at is what the shop does to a request when it has run for some time: the error
// rate and the added latency.
func (f faults) at(age time.Duration) (errorRate float64, latency time.Duration) {
	if age >= f.coldStart {
		return f.errorRate, f.addedLatency
	}
	// A request fails for either cause.
	return 1 - (1-f.errorRate)*(1-f.coldErrorRate), f.addedLatency + f.coldLatency
}
