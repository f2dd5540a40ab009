local serving = nil
for _, version in ipairs(obj.status ~= nil and obj.status.versions or {}) do
  if version.state == "serving" then
    serving = version.number
  end
end
local pinned = obj.spec.model.version
return {
  ["pin-serving-version"] = { ["disabled"] = serving == nil or pinned ~= nil },
  ["follow-latest-passed"] = { ["disabled"] = pinned == nil },
}
