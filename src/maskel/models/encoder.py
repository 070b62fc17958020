"""Encoder: patches of a skeleton sequence in, one feature per token out. Downstream tasks keep it."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn
from torch.nn import functional

from maskel.datasets.base import Provenance
from maskel.errors import InputError
from maskel.files import machine_memory
from maskel.geometry import exp_map
from maskel.layouts import Layout, layout_named
from maskel.models.patches import take_tokens, to_patches
from maskel.models.pooling import THIRDS, Pool, pool_tokens, put_bodies, region_weights
from maskel.models.transformer import Transformer, initialise, position_embedding
from maskel.models.weights import save_weights
from maskel.sequence import CHANNELS, SCORE, XYZ, Channels, SkeletonBatch, num_coordinates
from maskel.transforms import Stream, test_view, to_stream

FORMAT = "maskel encoder 1"
LARGEST, DEEPEST = 65_536, 1_000
"""Upper bounds of a model's sizes and of its depth; larger values are typos or hostile files."""
MOST_TOKENS = 65_536
"""Tokens of a body; the published encoders have 750."""

Joints = Literal["all", "kept"]
"""Joints of its input that an encoder reads: all, or all but the layout's ``roots``."""
Geometry = Literal["euclidean", "poincare"]
"""Space of the tokens that enter the transformer: anywhere, or the unit ball (the exponential map of HA-CM)."""


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of an encoder; the defaults are MAMP's.

    Args:
        window: Frames T that the network reads.
        stream: Signal that it reads: joint, bone, motion or bone_motion.
        patch_frames: Frames u of a patch; must divide ``window``.
        patch_joints: Joints p of a patch; must divide the number of joints read.
        dim: Width D.
        depth: Transformer blocks.
        num_heads: Attention heads; must divide ``dim``.
        mlp_ratio: Width of the feed-forward layers over D.
        joints: Joints to read: all of the layout, or ``kept``, all but its ``roots``.
        geometry: ``poincare`` maps every token into the unit ball, once its position is added.

    Raises:
        InputError: If the sizes do not fit each other.

    Examples:
        >>> from maskel import EncoderConfig
        >>> EncoderConfig(window=60, dim=128, depth=4, num_heads=4).patch_frames
        4
    """

    window: int = 120
    stream: Stream = "joint"
    patch_frames: int = 4
    patch_joints: int = 1
    dim: int = 256
    depth: int = 8
    num_heads: int = 8
    mlp_ratio: float = 4.0
    joints: Joints = "all"
    geometry: Geometry = "euclidean"

    def __post_init__(self) -> None:
        for name, choices in (("stream", Stream), ("joints", Joints), ("geometry", Geometry)):
            if getattr(self, name) not in get_args(choices):
                expected = ", ".join(get_args(choices))
                raise InputError(f"encoder: found {name} {getattr(self, name)!r}, expected one of {expected}")
        for name in ("window", "patch_frames", "patch_joints", "dim", "depth", "num_heads"):
            most = DEEPEST if name == "depth" else LARGEST
            if not 1 <= getattr(self, name) <= most:
                raise InputError(f"encoder: found {name} {getattr(self, name)}, expected 1 to {most}")
        if not 1 <= self.dim * self.mlp_ratio <= LARGEST:
            raise InputError(f"encoder: mlp_ratio {self.mlp_ratio} makes no width from 1 to {LARGEST}; expected 4, say")
        if self.window % self.patch_frames:
            raise InputError(f"encoder: patch_frames {self.patch_frames} does not divide the window of {self.window}")
        if self.dim % self.num_heads:
            raise InputError(f"encoder: num_heads {self.num_heads} does not divide dim {self.dim}")


def _refuse_no_room(config: EncoderConfig, tokens: int) -> None:
    """Refuse too many tokens, and weights that alone take more memory than there is, before any of it is taken."""
    if tokens > MOST_TOKENS:
        raise InputError(
            f"encoder: a window of {config.window:,} frames makes {tokens:,} tokens of each body, expected at most "
            f"{MOST_TOKENS:,}; take a smaller window or larger patches"
        )
    weights = 4 * config.depth * config.dim**2 * (4 + 2 * config.mlp_ratio)
    if weights > machine_memory():
        raise InputError(
            f"encoder: {config.depth} blocks of width {config.dim:,} take {weights / 2**30:,.0f} GiB, more than this "
            "machine has; take a smaller dim or depth"
        )


class Encoder(nn.Module):
    """Transformer over patches of frames x joints, with separate learned embeddings of time and joint.

    MAMP (arXiv 2308.07092), section 3; every body is a sequence of its own.

    Args:
        layout: Joint layout of the input.
        config: Sizes.
        channels: Names of the C values of a joint.

    Attributes:
        coordinates: Number of channels that are coordinates.
        grid: Patches in time T' and over joints V'.
        joints: Names of the joints read, in the order of the grid.
        provenance: Provenance of the training clips' joints; None where that is not known.
        adapted: Description of how `maskel.models.adaptation` mapped it to another layout or window; else empty.

    Raises:
        InputError: If patches do not divide the joints, or the layout lacks the group of joints to read.

    Examples:
        >>> import torch
        >>> from maskel import Encoder, EncoderConfig
        >>> from maskel.layouts import NTU25
        >>> encoder = Encoder(NTU25, EncoderConfig(window=16, dim=32, depth=1, num_heads=4))
        >>> encoder.grid, encoder.num_tokens  # 16 / 4 patches in time, 25 joints
        ((4, 25), 100)
        >>> encoder(torch.randn(2, 16, 25, 3)).shape
        torch.Size([2, 100, 32])
        >>> encoder(torch.randn(2, 16, 25, 3), keep=torch.tensor([[0, 7], [3, 99]])).shape  # two tokens of each body
        torch.Size([2, 2, 32])
    """

    _read: Tensor
    _regions: Tensor
    provenance: Provenance | None = None
    adapted: str = ""

    def __init__(self, layout: Layout, config: EncoderConfig = EncoderConfig(), channels: Channels = XYZ) -> None:
        super().__init__()
        read = range(len(layout)) if config.joints == "all" else layout.group("kept")
        if len(read) % config.patch_joints:
            raise InputError(
                f"encoder: patch_joints {config.patch_joints} does not divide the {len(read)} joints of {layout.name}"
            )
        self.layout = layout
        self.config = config
        self.channels = channels
        self.coordinates = num_coordinates(channels)
        self.grid = (config.window // config.patch_frames, len(read) // config.patch_joints)  # (T', V')
        _refuse_no_room(config, self.num_tokens)
        self.joints = tuple(layout.joints[joint] for joint in read)
        self.register_buffer("_read", torch.tensor(read), persistent=False)
        regions = region_weights(layout, tuple(read), config.patch_joints)
        self.register_buffer("_regions", regions, persistent=False)
        self.transformer = Transformer(config.dim, config.depth, config.num_heads, config.mlp_ratio)
        self.transformer.apply(initialise)
        patch_values = config.patch_frames * config.patch_joints * len(channels)
        self.patch_embed = nn.Linear(patch_values, config.dim)  # its default initialisation is a convolution's
        self.time_embed = position_embedding(1, self.grid[0], 1, config.dim)
        self.joint_embed = position_embedding(1, 1, self.grid[1], config.dim)

    @property
    def num_tokens(self) -> int:
        """Number of tokens N = T'·V' of one body."""
        return self.grid[0] * self.grid[1]

    def columns(self, there: Collection[int], patch_joints: int | None = None) -> tuple[int, ...]:
        """Find the columns of the token grid that are made of these joints of the layout alone.

        Args:
            there: Joints that clips have. In a bone's column the joint at which the bone starts must be there too.
            patch_joints: Joints of a column, if others than the encoder's.
        """
        bones = self.config.stream in ("bone", "bone_motion")
        starts = self.layout.neighbours if bones else range(len(self.layout))
        covered = [joint in there and starts[joint] in there for joint in self._read.tolist()]
        size = patch_joints or self.config.patch_joints
        return tuple(place for place in range(len(covered) // size) if all(covered[place * size : (place + 1) * size]))

    def select(self, joints: Float32[Tensor, "b t v c"]) -> Float32[Tensor, "b t r c"]:
        """Select the joints that the encoder reads, of all joints of the layout."""
        return joints if self.config.joints == "all" else joints.index_select(2, self._read)

    def positions(self, joints: Float32[Tensor, "b t v c"]) -> Float32[Tensor, "b t r coordinates"]:
        """Select the joints that the encoder reads, without their scores; targets and motion are made of these."""
        return self.select(joints)[..., : self.coordinates]

    def stream(self, joints: Float32[Tensor, "*b t v c"]) -> Float32[Tensor, "*b t v c"]:
        """Compute the encoder's stream from joint positions."""
        return to_stream(joints, self.config.stream, self.layout, SCORE in self.channels)

    def patches(self, joints: Float32[Tensor, "b t v c"]) -> Float32[Tensor, "b tp vp p"]:
        """Cut the joints to read into the encoder's patches, (B, T', V', P).

        Raises:
            InputError: If frames, joints or channels are not those the encoder was built for.
        """
        expected = (self.config.window, len(self.layout), len(self.channels))
        if tuple(joints.shape[1:]) != expected:
            raise InputError(
                f"the encoder reads (frames, joints, channels) {expected} of layout {self.layout.name}; "
                f"found {tuple(joints.shape[1:])}"
            )
        return to_patches(self.select(joints), self.config.patch_frames, self.config.patch_joints)

    def embed(
        self, patches: Float32[Tensor, "b tp vp p"], keep: Int64[Tensor, "b k"] | None = None
    ) -> Float[Tensor, "b n d"]:
        """Embed tokens with their positions: all of them, or those at grid positions ``keep``."""
        flat = patches.flatten(1, 2)
        positions = (self.time_embed + self.joint_embed).flatten(1, 2)  # (1, N, D)
        if keep is None:
            return self.patch_embed(flat) + positions
        # Not positions[0][keep]: the gradient of indexing adds up in whatever order threads come.
        return self.patch_embed(take_tokens(flat, keep)) + functional.embedding(keep, positions[0])

    def forward(
        self,
        joints: Float32[Tensor, "b t v c"],
        keep: Int64[Tensor, "b k"] | None = None,
        scales: Float32[Tensor, "b depth 2"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """Encode each body into normed tokens, in token order t'·V' + v, or in the order of ``keep``.

        Args:
            joints: (B, T, V, C) a body each, already in the encoder's stream.
            keep: (B, K) grid positions to read; all others are never computed.
            scales: Stochastic depth, see `maskel.models.transformer.drop_path_scales`.
        """
        tokens = self.embed(self.patches(joints), keep)
        return self.transformer(exp_map(tokens) if self.config.geometry == "poincare" else tokens, scales)

    @torch.no_grad()
    def encode(
        self,
        joints: Float32[Tensor, "b m t v c"] | Float[np.ndarray, "b m t v c"],
        lengths: Int64[Tensor, " b"] | None = None,
        pool: Pool = "mean",
    ) -> Float32[Tensor, "b f"]:
        """Compute one feature vector per clip: the mean of the normed tokens over time, joints and the bodies present.

        Args:
            joints: (B, M, T, V, C) in the unit and centred as the training data were; absent bodies all zero. Any
                number of frames: the middle 95 % of the valid ones are resampled to the window, as in evaluation.
            lengths: (B,) valid frames of each clip, 1 to T; all T of them by default.
            pool: Keep regions of the body, joints or thirds of the time apart, see `maskel.models.pooling.Pool`.

        Raises:
            InputError: If the shape is another, a length is not that of a clip, or a coordinate is not finite.

        Examples:
            >>> import torch
            >>> from maskel import Encoder, EncoderConfig
            >>> from maskel.layouts import NTU25
            >>> encoder = Encoder(NTU25, EncoderConfig(window=16, dim=32, depth=1, num_heads=4)).eval()
            >>> clips = torch.randn(2, 1, 100, 25, 3)  # 2 clips of one body, 100 frames of any frame rate
            >>> encoder.encode(clips).shape, encoder.encode(clips, pool="joints").shape
            (torch.Size([2, 32]), torch.Size([2, 800]))
        """
        tensor = torch.as_tensor(joints, dtype=torch.float32, device=self.patch_embed.weight.device)
        shape = (len(self.layout), len(self.channels))
        if tensor.dim() != 5 or tuple(tensor.shape[3:]) != shape or 0 in tensor.shape:
            expected = f"(B, M, T, {shape[0]}, {shape[1]}) of layout {self.layout.name} ({', '.join(self.channels)})"
            raise InputError(f"encode: found joints of shape {tuple(tensor.shape)}, expected {expected}")
        if not tensor.isfinite().all():
            raise InputError("encode: found a coordinate that is not finite; absent bodies and frames are all zero")
        batch, _, frames = tensor.shape[:3]
        if lengths is None:
            lengths = torch.full((batch,), frames, dtype=torch.int64)
        if lengths.shape != (batch,) or not ((lengths >= 1) & (lengths <= frames)).all():
            raise InputError(f"encode: found lengths {lengths.tolist()}, expected {batch} of 1 to {frames} frames")
        lengths = lengths.to(tensor.device)
        blank = torch.zeros(batch, dtype=torch.int64, device=tensor.device)
        valid = torch.arange(tensor.shape[2], device=tensor.device) < lengths[:, None]  # (B, T)
        present = ((tensor != 0).flatten(3).any(3) & valid[:, None]).any(2)
        present[:, 0] |= ~present.any(1)  # a clip of zeros still has one feature vector
        clips = SkeletonBatch(tensor, lengths, present, blank, blank, self.channels)
        return self.pool(test_view(clips, self.config.window), absent_bodies=False, pool=pool)

    def pool(self, batch: SkeletonBatch, absent_bodies: bool, pool: Pool = "mean") -> Float32[Tensor, "b f"]:
        """Average the normed tokens over time, joints and bodies, (B, D), from a view of the encoder's window.

        Absent bodies' tokens depend on the embeddings alone, so one zero body is encoded for all of them. A copy of the
        only body does not change the mean, so copies are left out. The result is that of encoding every slot, as long
        as dropout and stochastic depth are off.

        Args:
            batch: Clips resampled to the window, joint positions (the stream is derived here).
            absent_bodies: Average over all M slots, as published, or over the bodies present.
            pool: Keep regions, joints or thirds of the time apart; ``joints``, (B, V'·D), is what fine-tuning reads.
        """
        places = batch.present_bodies()
        bodies = batch.joints.flatten(0, 1).index_select(0, places)  # (R, T, V, C)
        absent = ~batch.present & ~batch.joints.flatten(2).any(2)  # neither a body nor a copy
        if bodies.device.type == "cpu":  # elsewhere looking would wait for the device
            absent_bodies = absent_bodies and bool(absent.any())
        rows = torch.cat((bodies, torch.zeros_like(bodies[:1]))) if absent_bodies else bodies
        tokens = self(self.stream(rows)).float()
        features = self.pooled(tokens, pool)
        weights = batch.present.float()
        sums = put_bodies(batch, features[: len(bodies)])
        if absent_bodies:
            sums = torch.where(absent[..., None], features[-1], sums)
            weights += absent
        return sums.sum(1) / weights.sum(1, keepdim=True)

    def pooled(self, tokens: Float[Tensor, "r n d"], pool: Pool) -> Float[Tensor, "r f"]:
        """Average each body's tokens, see `maskel.models.pooling.Pool`."""
        return pool_tokens(tokens, self.grid, pool, self._regions)

    def num_features(self, pool: Pool) -> int:
        """Return the number of values F of a feature vector."""
        parts = {"mean": 1, "joints": self.grid[1], "regions": len(self._regions)}
        return self.config.dim * parts.get(pool, THIRDS * len(self._regions))

    def layers(self) -> list[list[nn.Parameter]]:
        """Return all parameters by depth, as layer decay counts it: the embeddings, each block, the final norm."""
        embeddings = [*self.patch_embed.parameters(), self.time_embed, self.joint_embed]
        blocks = [list(block.parameters()) for block in self.transformer.blocks]
        return [embeddings, *blocks, list(self.transformer.norm.parameters())]

    def about(self) -> dict[str, Any]:
        """Describe the encoder as JSON can hold it, so that `build_encoder` builds one of the same sizes."""
        return {"layout": self.layout.name, "channels": self.channels, "config": asdict(self.config)}

    def save(self, path: Path | str) -> None:
        """Write weights and everything needed to rebuild the encoder to one ``.safetensors`` file."""
        made = {} if self.provenance is None else {"provenance": asdict(self.provenance)}
        save_weights(Path(path), self, {"format": FORMAT, **self.about(), **made})


def build_encoder(about: Mapping[str, Any]) -> Encoder:
    """Build an encoder of the layout, channels and sizes in a file's description, with random weights."""
    channels = tuple(about.get("channels", XYZ))
    if channels not in CHANNELS:
        raise ValueError(f"channels {channels}")
    encoder = Encoder(layout_named(about["layout"]), EncoderConfig(**about["config"]), channels)
    made = about.get("provenance")
    encoder.provenance = None if made is None else Provenance(**made)
    return encoder
