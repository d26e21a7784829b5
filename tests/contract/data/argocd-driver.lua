-- Runs a script of Argo CD on many resources: `glua argocd-driver.lua <script> <resources>`, the resources as a Lua list.
-- Prints one JSON object a line, lists as objects with their places as keys.

local format, write, insert, sort, concat = string.format, io.write, table.insert, table.sort, table.concat

local function json(value)
  if type(value) == "table" then
    local parts = {}
    for key, item in pairs(value) do
      insert(parts, format("%s:%s", format("%q", tostring(key)), json(item)))
    end
    sort(parts)
    return "{" .. concat(parts, ",") .. "}"
  end
  if type(value) == "string" then
    return format("%q", value)
  end
  return tostring(value)
end

local script, resources = loadfile(arg[1]), dofile(arg[2])
assert(script, arg[1])
-- Argo CD gives its scripts none of these.
string, io, debug, package, require, dofile, load, loadstring, loadfile = nil
for _, resource in ipairs(resources) do
  obj = resource
  write(json(script()), "\n")
end
