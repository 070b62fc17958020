"""MAE for skeletons: the baseline of the MAMP paper (arXiv 2308.07092), joints as target, uniform masking."""

from maskel.methods.masked import Bodies, Masked
from maskel.models.decoder import DecoderKind
from maskel.models.encoder import Encoder


class MAE(Masked):
    """Predict the positions of masked joints from the few that are seen: `Masked` with ``random`` and ``joints``.

    Args:
        decoder_depth: Blocks of the decoder; 5 for NTU-120 and PKU-MMD.

    Examples:
        >>> import torch
        >>> from maskel import MAE, Encoder, EncoderConfig
        >>> from maskel.layouts import NTU25
        >>> method = MAE(Encoder(NTU25, EncoderConfig(window=16, dim=32, depth=1, num_heads=4)), decoder_dim=32)
        >>> result = method.reconstruct(torch.randn(2, 16, 25, 3), torch.rand(2, 100))
        >>> result.visible.shape, result.predicted.shape  # 9 of 100 tokens are seen, 91 predicted
        (torch.Size([2, 9, 32]), torch.Size([2, 91, 12]))
    """

    def __init__(
        self,
        encoder: Encoder,
        ratio: float = 0.9,
        normalize_target: bool = True,
        decoder_dim: int = 256,
        decoder_depth: int = 3,
        decoder: DecoderKind = "full",
        bodies: Bodies = "all",
    ) -> None:
        super().__init__(
            encoder,
            masking="random",
            target="joints",
            ratio=ratio,
            normalize_target=normalize_target,
            decoder_dim=decoder_dim,
            decoder_depth=decoder_depth,
            decoder=decoder,
            bodies=bodies,
        )
