"""MAMP: Masked Motion Predictors (Mao et al., ICCV 2023, arXiv 2308.07092).

| paper | here | where |
|---|---|---|
| motion target | ``MotionTarget`` | ``maskel.targets.motion`` |
| motion-aware mask | ``MotionAwareMasking`` | ``maskel.masking.motion_aware`` |
| τ | ``tau`` | same |
| mask ratio | ``ratio`` | ``maskel.masking.base`` |
| encoder, decoder | ``Encoder``, ``Decoder`` | ``maskel.models`` |
| loss | ``masked_mean_squared_error`` | ``maskel.losses`` |
"""

from maskel.methods.masked import Bodies, Masked
from maskel.models.decoder import DecoderKind
from maskel.models.encoder import Encoder


class MAMP(Masked):
    """Predict the motion of masked joints from the few that are seen: `Masked` with ``motion_aware`` and ``motion``.

    Joints that move are masked more often.

    Args:
        tau: Temperature of motion-aware masking; 0 or less masks uniformly. 0.75 for NTU-120.
        motion_stride: Frames between the two positions whose difference is the motion, 1 or more, below the window.
        decoder_depth: Blocks of the decoder; 5 for NTU-120 and PKU-MMD.

    Raises:
        InputError: If an option is out of range.

    Examples:
        >>> import torch
        >>> from maskel import MAMP, Encoder, EncoderConfig
        >>> from maskel.layouts import NTU25
        >>> method = MAMP(Encoder(NTU25, EncoderConfig(window=16, dim=32, depth=1, num_heads=4)), decoder_dim=32)
        >>> joints, draws = torch.randn(2, 16, 25, 3), torch.rand(2, 100)  # 2 bodies; a draw per token
        >>> method.mask(joints, draws).keep.shape  # 9 of 100 tokens stay visible
        torch.Size([2, 9])
    """

    def __init__(
        self,
        encoder: Encoder,
        ratio: float = 0.9,
        tau: float = 0.8,
        motion_stride: int = 1,
        normalize_target: bool = True,
        decoder_dim: int = 256,
        decoder_depth: int = 3,
        decoder: DecoderKind = "full",
        bodies: Bodies = "all",
    ) -> None:
        super().__init__(
            encoder,
            masking="motion_aware",
            target="motion",
            ratio=ratio,
            tau=tau,
            motion_stride=motion_stride,
            normalize_target=normalize_target,
            decoder_dim=decoder_dim,
            decoder_depth=decoder_depth,
            decoder=decoder,
            bodies=bodies,
        )
