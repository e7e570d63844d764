// Command shop stands in for the real one.
package main

import "fmt"

func main() { fmt.Println("shop") }
