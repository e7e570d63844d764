// Command belay-comparer stands in for the real one.
package main

import "fmt"

var version = "unset"

func main() { fmt.Println("version", version) }
