"""Sweeps: what request parameters do to a saved model's answers on a user's own rows, beyond chance."""
