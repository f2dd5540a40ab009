local phase = obj.status ~= nil and obj.status.phase or ""
local suspended = obj.spec.suspend == true
local ended = phase == "Succeeded" or phase == "GateFailed" or phase == "Failed"
return {
  ["suspend"] = { ["disabled"] = suspended or ended },
  ["resume"] = { ["disabled"] = not suspended },
  ["retry"] = { ["disabled"] = phase ~= "Failed" },
}
