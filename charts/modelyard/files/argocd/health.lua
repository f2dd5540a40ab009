-- Health of every Modelyard kind, from its conditions alone: Ready is always there, Reconciling and Stalled only while
-- True. No library is used, so that it runs in Argo CD's default sandbox.
local waiting = { status = "Progressing", message = "Waiting for the operator to look at this generation" }
local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return waiting
end

local held = {}
for _, condition in ipairs(status.conditions) do
  held[condition.type] = condition
end
if held.Ready == nil then
  return waiting
end
if held.Stalled ~= nil and held.Stalled.status == "True" then
  return { status = "Degraded", message = held.Stalled.reason .. ": " .. (held.Stalled.message or "") }
end
if held.Reconciling ~= nil and held.Reconciling.status == "True" then
  return { status = "Progressing", message = held.Reconciling.message }
end
if held.Ready.status == "True" then
  return { status = "Healthy", message = held.Ready.message }
end
-- Neither ready nor moving nor stuck: someone asked it to stand still.
return { status = "Suspended", message = held.Ready.message }
