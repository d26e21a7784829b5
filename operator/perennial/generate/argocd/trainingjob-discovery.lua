local suspended = obj.spec.suspend == true
return {
  ["retrain"] = {["disabled"] = suspended},
  ["suspend"] = {["disabled"] = suspended},
  ["resume"] = {["disabled"] = not suspended},
}
