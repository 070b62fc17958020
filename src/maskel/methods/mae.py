"""MAE for skeletons: the baseline of the MAMP paper (arXiv 2308.07092), joints as target, uniform masking."""

from maskel.masking import RandomMasking
from maskel.methods.masked import Bodies, MaskedModeling
from maskel.models.decoder import DecoderKind
from maskel.models.encoder import Encoder
from maskel.targets import JointTarget


class MAE(MaskedModeling):
    """Predict the positions of masked joints from the few that are seen.

    Args:
        encoder: The encoder to pre-train.
        ratio: Share of tokens to mask, in (0, 1).
        normalize_target: Standardise the target of each patch.
        decoder_dim: Width of the decoder.
        decoder_depth: Blocks of the decoder; 5 for NTU-120 and PKU-MMD.
        decoder: ``full`` as published, or ``cross``: masked tokens attend to visible ones only, which is quicker.
        bodies: ``all`` trains on absent bodies too, as published; ``present`` skips them.
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
        target = JointTarget(normalize_target)
        super().__init__(encoder, RandomMasking(ratio), target, decoder_dim, decoder_depth, bodies, decoder)
