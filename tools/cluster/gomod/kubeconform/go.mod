module dev/kubeconform

go 1.26.8

require github.com/yannh/kubeconform v0.8.0 // indirect
