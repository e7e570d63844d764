// Command belay-controller stands in for the real one, which takes minutes to build.
package main

import "fmt"

var version = "unset"

func main() { fmt.Println("version", version) }
