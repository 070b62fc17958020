"""A pre-training step of MAMP at the published size in two processes, which sum their gradients.

    python benchmarks/exchange.py [--device cpu]

``none`` does not sum them: what the exchange costs.
Over gloo and the loopback device; each process has one thread. The step is the quickest there is, so that the exchange
weighs most in it.
"""

import atexit
import os
import socket

import torch

import comparison
import training_step
from comparison import Variant, Work
from maskel import distributed
from maskel.draws import clip_keys
from maskel.errors import TrainingError
from maskel.layouts import NTU25
from maskel.methods import MAMP
from maskel.methods.base import build_seeded
from maskel.models.encoder import Encoder


def step_of_two(sums: bool) -> Variant:
    """A step of this process and of one like it."""

    def build(device: torch.device) -> Work:
        torch.set_num_threads(1)
        with socket.socket() as asked:
            asked.bind(("127.0.0.1", 0))
            port = str(asked.getsockname()[1])
        leads = os.fork() != 0
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "RANK": str(int(not leads))}
        distributed.start(str(device))
        method = build_seeded(lambda: MAMP(Encoder(NTU25), bodies="present", decoder="cross"), 0).to(device)
        parameters = [parameter for parameter in method.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=0.0, fused=True)
        batch = training_step.clips().to(device)
        keys = clip_keys(0, 0, batch.clips)

        def step() -> float:
            loss = method(batch, keys)["loss"]
            loss.backward()
            if sums:
                distributed.sum_gradients(parameters)
            size = torch.stack(torch._foreach_norm([p.grad for p in parameters if p.grad is not None])).norm().item()
            optimizer.step()
            optimizer.zero_grad()
            distributed.barrier()
            return size

        if not leads:
            try:
                while True:
                    step()
            except TrainingError:  # the other has what it wanted
                os._exit(0)
        atexit.register(distributed.finish, together=False)
        return step

    return Variant(build, agrees=1e-5 if sums else None)


VARIANTS = {"summed": step_of_two(True), "none": step_of_two(False)}

if __name__ == "__main__":
    title = f"MAMP pre-training step in two processes, {training_step.CLIPS} clips each"
    comparison.compare(__file__, title, VARIANTS, 2 * training_step.CLIPS, "clips")
