"""A student, its teacher and its peer in one segmentor, of which one is tested."""

import copy
from typing import Optional

import torch
from mmseg.models.segmentors import EncoderDecoder

from .wrapped import WrappedSegmentor, build_segmentor


class TeacherStudent(WrappedSegmentor):
    """Networks of one config; the teacher, or the student without one, predicts.

    Args:
        segmentor: Config of an ``EncoderDecoder`` or of a kind of it.
        momentum: Of the teacher's moving average; ``None`` for no teacher.
        two_students: Add a second student, ``peer``; there is no teacher then.
        data_preprocessor: The segmentor's own; taken from ``segmentor`` without it.
        init_cfg: Of this wrapper; the segmentor has its own.

    Raises:
        ValueError: If two students have a teacher, or the segmentor is of a kind that gives no
            logits.
    """

    def __init__(
        self,
        segmentor: dict,
        *,
        momentum: Optional[float],
        two_students: bool,
        data_preprocessor: Optional[dict] = None,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(segmentor, data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if two_students and momentum is not None:
            raise ValueError(
                'two_students label for each other and have no teacher: set momentum=None'
            )
        self.student = build_segmentor(segmentor)
        self.peer = build_segmentor(segmentor) if two_students else None
        self.teacher = None if momentum is None else _copy_of(self.student)
        self.register_buffer('ema_steps', torch.zeros((), dtype=torch.long))
        self.momentum = momentum

    # --- what is tested ---------------------------------------------------------------------------

    @property
    def tested(self) -> EncoderDecoder:
        """The network that predicts."""
        return self.student if self.teacher is None else self.teacher

    # --- the teacher ------------------------------------------------------------------------------

    def init_weights(self) -> None:
        """Let the students begin as the segmentor does, and the teacher as the student."""
        super().init_weights()
        if self.teacher is not None:
            self.teacher.load_state_dict(self.student.state_dict())

    def train(self, mode: bool = True) -> 'TeacherStudent':
        """Set the students' mode; the teacher stays in evaluation but while it labels."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    @torch.no_grad()
    def update_teacher(self) -> None:
        """Move the teacher towards the student, BN buffers too; whole numbers are copied.

        At step t, from 0, the momentum is ``min((1 + t) / (10 + t), momentum)``, as in
        TensorFlow's moving average: the teacher is about a tenth of the steps so far behind. A
        plain mean of all students so far, ``1 - 1 / (t + 1)``, keeps the first of them for too
        long: in 400 iterations, its teacher is far below its student.
        Without a teacher the steps are counted alone.
        """
        step = int(self.ema_steps)
        self.ema_steps += 1
        if self.teacher is None or self.momentum is None:
            return
        keep = min((1 + step) / (10 + step), self.momentum)
        source = self.student.state_dict()
        for name, value in self.teacher.state_dict().items():
            if value.is_floating_point():
                value.lerp_(source[name], 1 - keep)
            else:
                value.copy_(source[name])


def _copy_of(student: EncoderDecoder) -> EncoderDecoder:
    copied = copy.deepcopy(student).requires_grad_(False).eval()
    copied.is_init = True  # it takes the student's weights, and draws none
    return copied
