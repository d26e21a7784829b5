local annotations = obj.metadata.annotations or {}
local paused = annotations["perennial.dev/pause"] == "true"
local status = obj.status or {}
local candidate = status.candidate or {}
return {
  ["pause"] = {["disabled"] = paused},
  ["resume"] = {["disabled"] = not paused},
  ["abort"] = {["disabled"] = candidate.phase ~= "Progressing"},
  ["retry"] = {["disabled"] = candidate.phase ~= "Failed"},
  ["rollback"] = {["disabled"] = status.previous == nil},
}
