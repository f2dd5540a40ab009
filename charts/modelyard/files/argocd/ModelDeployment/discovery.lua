local serving = obj.status ~= nil and obj.status.serving or nil
local pinned = obj.spec.model.version
return {
  ["pin-serving-version"] = { ["disabled"] = serving == nil or pinned ~= nil },
  ["follow-latest-passed"] = { ["disabled"] = pinned == nil },
}
