obj.spec.model = { ["name"] = obj.spec.model.name, ["version"] = obj.status.serving }
return obj
