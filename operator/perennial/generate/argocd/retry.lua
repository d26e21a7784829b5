obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["perennial.dev/abort"] = nil
obj.metadata.annotations["perennial.dev/retry"] =
  obj.status.candidate.name .. "/" .. os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
