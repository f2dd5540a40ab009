obj.spec.deletionPolicy = "retain"
return obj
