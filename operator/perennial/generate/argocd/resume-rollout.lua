obj.metadata.annotations["perennial.dev/pause"] = nil
return obj
