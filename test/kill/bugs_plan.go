//go:build kill

package kill

var bugs []bug
