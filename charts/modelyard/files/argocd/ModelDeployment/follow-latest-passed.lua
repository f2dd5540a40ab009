obj.spec.model = { ["name"] = obj.spec.model.name, ["follow"] = "latest-passed" }
return obj
