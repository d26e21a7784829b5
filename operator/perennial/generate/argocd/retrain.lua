obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["perennial.dev/run-now"] = os.date("!%Y-%m-%dT%H:%M:%SZ") .. " by Argo CD"
return obj
