"""The contract: pydantic models that operator, trainer, server and CRDs share. Imports nothing but names."""
