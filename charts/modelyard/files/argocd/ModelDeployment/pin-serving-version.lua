local serving = nil
for _, version in ipairs(obj.status ~= nil and obj.status.versions or {}) do
  if version.state == "serving" then
    serving = version.number
  end
end
obj.spec.model = { ["name"] = obj.spec.model.name, ["version"] = serving }
return obj
