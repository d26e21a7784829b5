-- Health of a Perennial resource for Argo CD, by the rules of kstatus.
local status = obj.status
if status == nil or status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "Waiting for the operator to observe this generation"}
end

local found = {}
for _, condition in ipairs(status.conditions or {}) do
  if condition.status == "True" then
    found[condition.type] = condition
  elseif condition.type == "Ready" then
    found.NotReady = condition
  end
end

if found.Reconciling ~= nil then
  return {status = "Progressing", message = found.Reconciling.message}
elseif found.Stalled ~= nil then
  return {status = "Degraded", message = found.Stalled.message}
elseif found.Suspended ~= nil then
  return {status = "Suspended", message = found.Suspended.message}
elseif found.Ready ~= nil then
  return {status = "Healthy", message = found.Ready.message}
elseif found.NotReady ~= nil then
  return {status = "Progressing", message = found.NotReady.message}
end
return {status = "Progressing", message = "Waiting for conditions"}
