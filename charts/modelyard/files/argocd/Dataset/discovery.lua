local phase = obj.status ~= nil and obj.status.phase or ""
return { ["prepare-again"] = { ["disabled"] = phase ~= "Prepared" and phase ~= "Failed" } }
