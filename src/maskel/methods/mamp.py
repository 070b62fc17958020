"""MAMP: Masked Motion Predictors (Mao et al., ICCV 2023, arXiv 2308.07092).

================== ============================ =========================================
paper              here                         where
================== ============================ =========================================
motion target      ``MotionTarget``             ``maskel.targets``
motion-aware mask  ``MotionAwareMasking``       ``maskel.masking.motion_aware``
τ                  ``tau``                      same
mask ratio         ``ratio``                    ``maskel.masking.base``
encoder, decoder   ``Encoder``, ``Decoder``     ``maskel.models``
loss               ``masked_mean_squared_error``  ``maskel.losses``
================== ============================ =========================================
"""

from maskel.errors import InputError
from maskel.masking import MotionAwareMasking
from maskel.methods.masked import Bodies, MaskedModeling
from maskel.models.decoder import DecoderKind
from maskel.models.encoder import Encoder
from maskel.targets import MotionTarget


class MAMP(MaskedModeling):
    """Predict the motion of masked joints from the few that are seen; what moves is masked more often.

    Args:
        encoder: The encoder to pre-train.
        ratio: Share of tokens to mask, in (0, 1).
        tau: Temperature of motion-aware masking; 0 or less masks uniformly. 0.75 for NTU-120.
        motion_stride: Frames between the two positions whose difference is the motion, 1 or more, below the window.
        normalize_target: Standardise the target of each patch.
        decoder_dim: Width of the decoder.
        decoder_depth: Blocks of the decoder; 5 for NTU-120 and PKU-MMD.
        decoder: ``full`` as published, or ``cross``: masked tokens attend to visible ones only, which is quicker.
        bodies: ``all`` trains on absent bodies too, as published; ``present`` skips them.

    Raises:
        InputError: If an option is out of range.
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
        if motion_stride >= encoder.config.window:
            raise InputError(
                f"mamp: found motion_stride {motion_stride}, expected less than the window of {encoder.config.window} "
                f"frames; beyond it nothing moves"
            )
        masking = MotionAwareMasking(ratio, tau)
        target = MotionTarget(motion_stride, normalize_target)
        super().__init__(encoder, masking, target, decoder_dim, decoder_depth, bodies, decoder)
