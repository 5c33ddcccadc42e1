"""Training: from prepared episodes to a policy bundle, resumable at every step."""
