"""The policy: bundle in and out, and the runtime that turns predictions into actions."""
