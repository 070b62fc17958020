"""What `test_resume` runs twice at once: python at_once.py SET OUT begins a new run, OUT/N, at every line it reads."""

import sys
from contextlib import redirect_stdout

import torch

from maskel import cli

SIZES = (
    "--encoder.window 8 --encoder.dim 16 --encoder.depth 1 --encoder.num_heads 2 --device cpu "
    "--mamp.decoder_dim 16 --mamp.decoder_depth 1 --training.epochs 1 --training.batch_size 8"
).split()

if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for number, _ in enumerate(sys.stdin):
        with redirect_stdout(sys.stderr):
            code = cli.main(["pretrain", f"--data={sys.argv[1]}", f"--out={sys.argv[2]}/{number}", *SIZES])
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()
