"""The options of zoom videos and of restyled films."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from guidance.command.cli import alias
from guidance.command.options import GuidedOptions
from guidance.conventions import check_range
from guidance.errors import InputError
from guidance.vqgan.camera import Move, Zoom
from guidance.vqgan.film_source import Facts, Source


@dataclass(frozen=True, kw_only=True)
class MotionOptions(GuidedOptions):
    """Options of a painting with a camera; a zoom and a film exclude each other."""

    zoom: Annotated[bool, alias("-zvid", "--zoom-video")] = False
    """Make a video that zooms, shifts or turns while it is painted."""
    zoom_start: Annotated[int, alias("-zs")] = 0
    """Steps before the camera starts."""
    zoom_every: Annotated[int, alias("-zse", "--zoom-save-every", "--zoom-frequency")] = 10
    """Steps between camera moves. Each one costs some detail, which these steps paint anew."""
    zoom_scale: Annotated[float, alias("-zsc")] = 1.01
    """Size of the picture after a move: 1.01 zooms in by 1 %, 0.99 zooms out."""
    zoom_shift_x: Annotated[float, alias("-zsx")] = 0.0
    """Pixels that a move shifts the picture to the right."""
    zoom_shift_y: Annotated[float, alias("-zsy")] = 0.0
    """Pixels that a move shifts the picture down."""
    zoom_angle: float = 0.0
    """Degrees that a move turns the picture, clockwise."""
    zoom_smooth: int = 1
    """Frames of the video for each move, at most --zoom-every; the camera glides through them."""

    video_in: Annotated[str | None, alias("-vsd", "--video-style-dir")] = None
    """Film to restyle: a video or GIF, or a folder of images. Each frame is painted with the
    prompt; the result is a video of as many frames, without sound. --steps does not count."""
    frame_steps: int = 25
    """Steps for each frame of --video-in."""
    frames: int | None = None
    """Paint at most so many frames of --video-in."""
    frame_stride: int = 1
    """Paint every second (2), third (3), … frame of --video-in."""
    frame_weight: float = 20.0
    """Weight of the mean squared difference from the frame; 20 keeps what is in it."""
    frame_blend: float = 0.2
    """Share of the last painted frame in the start of the next: steadier, but with trails at 1."""

    def check_motion(self) -> None:
        """Raise `InputError` or `FileError` for a value that is not allowed; before `total`."""
        if self.video_in is not None:
            self._film_facts()  # first: everything else counts its frames
            check_range("frame_steps", self.frame_steps, 1, 100_000)
            check_range("frame_weight", self.frame_weight, 0, 1e6)
            check_range("frame_blend", self.frame_blend, 0, 1)
        if self.zoom:
            check_range("zoom_start", self.zoom_start, 0)
            check_range("zoom_every", self.zoom_every, 1)
            check_range("zoom_scale", self.zoom_scale, 0.5, 2)
            check_range("zoom_shift_x", self.zoom_shift_x, -4096, 4096)
            check_range("zoom_shift_y", self.zoom_shift_y, -4096, 4096)
            check_range("zoom_angle", self.zoom_angle, -180, 180)
            check_range("zoom_smooth", self.zoom_smooth, 1, self.zoom_every)
        self._check_together()

    def total(self) -> int:
        """Return the number of steps of the whole run."""
        facts = self._film_facts()
        return super().total() if facts is None else facts.frames * self.frame_steps

    def shows(self, index: int) -> bool:
        """Return whether the video has a frame of step `index`."""
        if self.video_in is not None:
            return (index + 1) % self.frame_steps == 0
        return self.zooming(1).shows(index) if self.zoom else super().shows(index)

    def speed(self) -> float:
        """Return the frames a second of the video."""
        facts = self._film_facts()
        if facts is None or facts.fps is None or self.fps is not None:
            return super().speed()
        return min(facts.fps, 240.0)

    def zooming(self, longer: int) -> Zoom:
        """Return the camera for a picture with a longer side of so many pixels."""
        shift = (self.zoom_shift_x / longer, self.zoom_shift_y / longer)
        return Zoom(
            Move(self.zoom_scale, shift, self.zoom_angle),
            start=self.zoom_start,
            every=self.zoom_every,
            smooth=self.zoom_smooth,
            steps=self.steps,
        )

    def film(self) -> Source:
        """Return the film to restyle; there is one."""
        return Source(str(self.video_in), self.frame_stride, self.frames)

    def _film_facts(self) -> Facts | None:
        return None if self.video_in is None else self.film().check()

    def _check_together(self) -> None:
        film = self.video_in is not None
        if self.zoom and film:
            raise InputError("--zoom and --video-in contradict each other; give one of them")
        if (self.zoom or film) and self.video == "none":
            name = "--zoom" if self.zoom else "--video-in"
            raise InputError(f"{name} makes a video and cannot be combined with --video none")
        if (self.zoom or film) and self.frame_every:
            name = "--zoom-smooth" if self.zoom else "--frame-stride"
            raise InputError(f"--frame-every does not count here; see {name}")
        if self.zoom and self.zoom_start + self.zoom_every >= self.steps:
            raise InputError(
                f"the first camera move comes after --zoom-start + --zoom-every = "
                f"{self.zoom_start + self.zoom_every} steps but the run has {self.steps}"
            )
