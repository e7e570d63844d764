module belay.dev/belay

go 1.26.0
