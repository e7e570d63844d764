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
}

// readFaults refuses what it cannot read: a demo with a misspelt fault would
// prove the opposite of what it shows.
func readFaults(getenv func(string) string) (faults, error) {
	f := faults{version: getenv("SHOP_VERSION"), drain: 3 * time.Second}
	if f.version == "" {
		f.version = "dev"
	}
	for name, target := range map[string]*float64{"SHOP_ERROR_RATE": &f.errorRate, "SHOP_DOUBLE_CHARGE_RATE": &f.doubleChargeRate} {
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
	return f, nil
}
