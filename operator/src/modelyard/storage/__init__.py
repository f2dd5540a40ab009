"""The artifact store over plain S3: get, put, atomic publish, verified fetch, claims."""
