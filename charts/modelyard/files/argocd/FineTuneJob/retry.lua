obj.spec.attempt = (obj.spec.attempt or 1) + 1
return obj
