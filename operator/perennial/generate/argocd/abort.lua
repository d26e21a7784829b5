obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["perennial.dev/abort"] = obj.status.candidate.name
return obj
