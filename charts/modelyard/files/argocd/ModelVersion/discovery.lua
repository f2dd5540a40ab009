local deletes = obj.spec.deletionPolicy == "delete"
return {
  ["keep-artifacts"] = { ["disabled"] = not deletes },
  ["delete-artifacts-with-object"] = { ["disabled"] = deletes },
}
