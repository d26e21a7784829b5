obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["perennial.dev/pause"] = "true"
return obj
