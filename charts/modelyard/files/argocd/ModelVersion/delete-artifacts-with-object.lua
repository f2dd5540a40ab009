obj.spec.deletionPolicy = "delete"
return obj
