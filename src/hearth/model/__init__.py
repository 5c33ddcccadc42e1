"""The policy network: images, task, stage and state in, chunks of actions out.

Interfaces that other parts use:

- ``presets.config(settings.model, benchmark, image_size, settings.statistics.horizon, statistics)``
  gives a `ModelConfig`; ``ModelConfig.as_dict`` and ``ModelConfig.from_dict`` go through JSON.
- ``policy_network.PolicyNetwork(config, nnx.Rngs(seed))`` holds `nnx.Param` variables only, so
  ``graph, params = nnx.split(network)`` and, inside ``jax.jit``, ``nnx.merge(graph, params)``.
  Layers are stacked: their parameters have the layers along the first axis.
  ``ModelConfig.frozen`` names the parts that training leaves alone.
- ``losses.compute_losses(network, batch, key, cholesky, config)`` gives a dict of scalars;
  ``losses.losses_of_draws`` takes noise and times instead of a key.
- ``sampling.sample_actions(network, observation, keys, cholesky, flow_steps, inpainting, rules)``
  gives (actions, stage_logits), with a key per sample; `flow_steps` is a Python integer (static
  under ``jax.jit``), ``inpainting.Inpainting(targets, mask)`` is a pytree of arrays with static
  shapes. ``sampling.trace_flow`` gives every step from given noise.
- ``PolicyNetwork.embed``, ``transform``, ``read`` and ``expert_pass`` are the stages of a pass with
  everything on their way; ``encode`` and ``velocity`` are the same in short.
- Images are uint8, or float32 in 0..255 where an augmentation has changed them.
"""
