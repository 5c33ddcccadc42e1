"""What the network costs: counted from shapes, or measured on the devices of this machine.

    python benchmarks/model.py --abstract [--no-compile] [--preset pi05]
    python benchmarks/model.py [--preset pi05] [--batch 16] [--rounds 10] [--peak-tflops 989]

The first allocates nothing and needs no accelerator: parameters, operations of a training sample
and of a chunk, bytes over eight devices, seconds to trace, lower and compile the sharded step and
the sampling, and the memory that XLA plans for them. The second runs the training step and the
sampling of chunks. Both set hearth's defaults beside the public implementation's choices (trained
vision, every activation recomputed, a loss over 32 dimensions) in the same run. Utilisation is that
of the operations which the model needs; what is recomputed for memory is shown beside it.
"""

from __future__ import annotations

import argparse
import os


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=("tiny", "small", "pi05"), default="pi05")
    parser.add_argument("--abstract", action="store_true", help="count, allocate nothing")
    parser.add_argument(
        "--no-compile", action="store_true", help="with --abstract: trace and lower only"
    )
    parser.add_argument("--batch", type=int, default=16, help="samples a step")
    parser.add_argument("--devices", type=int, default=1, help="devices that share a step")
    parser.add_argument("--rounds", type=int, default=10, help="timed repetitions")
    parser.add_argument(
        "--peak-tflops", type=float, help="of a device, for utilisation (H200, bfloat16: 989)"
    )
    arguments = parser.parse_args()
    if arguments.abstract:
        os.environ["JAX_PLATFORMS"] = "cpu"
        os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
        import model_abstract  # jax reads the variables when it starts

        model_abstract.report(arguments.preset, compile_step=not arguments.no_compile)
        return
    import model_speed

    model_speed.report(
        arguments.preset, arguments.batch, arguments.devices, arguments.rounds,
        arguments.peak_tflops,
    )  # fmt: skip


if __name__ == "__main__":
    main()
