"""What people who work on Modelyard use: a local cluster, benchmarks, licences and bill of materials."""
