obj.spec.revision = (obj.spec.revision or 1) + 1
return obj
