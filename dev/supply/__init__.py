"""What we stand on: licences of the lock file, the bill of materials, and known vulnerabilities."""
