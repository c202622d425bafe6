"""Words → prompts: what is wanted of a picture, and what is made of it before CLIP reads it.

The command line has these fields under the same names, with the same defaults::

    Wish("a fox at sunrise", negative=("text:0.3",)).prompts(steps=250)
"""

from __future__ import annotations

from dataclasses import dataclass

from guidance.conventions import check_range
from guidance.prompts.grammar import Prompt, parse_prompts
from guidance.prompts.schedule import MAX_STEP
from guidance.prompts.story import cross_fade, scene_steps, tell
from guidance.prompts.subject import with_subjects


@dataclass(frozen=True)
class Wish:
    """What a picture should show and what not.

    Attributes:
        prompt: in the grammar of `guidance.prompts.grammar`.
        negative: prompts to push away from, ``"text:0.3"``.
        image_prompt: images to come close to, ``"photo.png:0.5"``.
        subject: extra weight of a prompt's subject (`guidance.prompts.subject`); 0 for none.
        story: scenes after the prompt (`guidance.prompts.story`).
        scene_prefix, scene_suffix: what every scene begins and ends with.
        change_every: steps of a scene; None shares the steps equally.
        fade: steps in which one scene fades into the next.
    """

    prompt: str
    negative: tuple[str, ...] = ()
    image_prompt: tuple[str, ...] = ()
    subject: float = 0.25
    story: tuple[str, ...] = ()
    scene_prefix: str = ""
    scene_suffix: str = ""
    change_every: int | None = None
    fade: int = 0

    def __post_init__(self) -> None:
        check_range("subject", self.subject, 0, 100)
        check_range("fade", self.fade, 0, MAX_STEP)

    def scenes(self) -> str:
        """Return the prompt with all scenes of its story.

        Raises:
            PromptError: a scene is empty, or cannot take the prefix or suffix.
        """
        return tell(self.prompt, self.story, prefix=self.scene_prefix, suffix=self.scene_suffix)

    def prompts(self, steps: int) -> tuple[Prompt, ...]:
        """Return the prompts of a run of `steps`: parsed, faded, and with their subjects.

        Raises:
            PromptError: one does not follow the grammar, or a story does not fit the steps.
        """
        text = self.scenes()
        prompts = parse_prompts(
            text,
            negative=self.negative,
            image=self.image_prompt,
            every=scene_steps(text, steps, self.change_every),
        )
        return with_subjects(cross_fade(prompts, self.fade, steps), self.subject)
