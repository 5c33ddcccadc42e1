"""The policy network: images, task, stage and state in, chunks of actions out.

Interfaces that other parts use:

- ``presets.config(settings.model, benchmark, image_size, horizon=settings.statistics.horizon)``
  gives a `ModelConfig`; ``ModelConfig.as_dict`` and ``ModelConfig.from_dict`` go through JSON.
- ``policy_network.PolicyNetwork(config, nnx.Rngs(seed))`` holds `nnx.Param` variables only, so
  ``graph, params = nnx.split(network)`` and, inside ``jax.jit``, ``nnx.merge(graph, params)``.
- ``losses.compute_losses(network, batch, key, cholesky, config)`` gives a dict of scalars.
- ``sampling.sample_actions(network, observation, key, cholesky, flow_steps, inpainting)`` gives
  (actions, stage_logits); `flow_steps` is a Python integer (static under ``jax.jit``), and
  ``sampling.Inpainting(targets, mask)`` is a pytree of arrays with static shapes.
- Images are uint8, or float32 in 0..255 where an augmentation has changed them.
"""
