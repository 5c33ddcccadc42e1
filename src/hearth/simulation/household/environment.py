"""One household task as an environment: reset to a seeded instance, step at 30 Hz, score."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import mujoco
import numpy as np

from hearth.benchmark import Benchmark
from hearth.core.errors import SimulationError
from hearth.simulation.environment import GoalLiteral, Observation, Step
from hearth.simulation.household.goals import Goals
from hearth.simulation.household.instances import Instance, sample_instance, start_noise
from hearth.simulation.household.metrics import Travel, official_metrics
from hearth.simulation.household.observation import Observer
from hearth.simulation.household.predicates import Predicates
from hearth.simulation.household.rendering import (
    POLICY_QUALITY,
    VIDEO_QUALITY,
    Quality,
    Renderer,
    camera_id,
)
from hearth.simulation.household.robot import SUBSTEPS, Robot
from hearth.simulation.household.scene import VIEWER_CAMERA, compile_scene
from hearth.simulation.household.tasks import layout
from hearth.simulation.household.toggles import Toggle
from hearth.simulation.household.world import AGENT, World

_AGENT_SCOPE = "agent.n.01_1"
_ATTEMPTS = 50
_SETTLE_STEPS = 120
# A valid start: nothing overlaps by more, moves further while it settles, or still moves after.
_PENETRATION_M, _SETTLED_SHIFT_M, _SETTLED_SPEED = 0.002, 0.02, 0.05
# Room for a finger between any two things that do not belong together.
_FINGER_GAP_M = 0.05


class HouseholdEnvironment:
    """Implements :class:`hearth.simulation.environment.Environment`.

    Args:
        task: a task of the benchmark that has a household scene.
        image_sizes: square image size per camera; None or empty for no rendering at all.
        time_limit: steps after which an episode is truncated; the benchmark's by default.

    Raises:
        SettingsError: the benchmark has no such task.
        SimulationError: no scene for the task, a wrong camera or size, or no graphics library.
    """

    def __init__(
        self,
        task: str,
        benchmark: Benchmark,
        image_sizes: Mapping[str, int] | None,
        *,
        time_limit: int | None = None,
        quality: Quality = POLICY_QUALITY,
    ) -> None:
        self.task, self.benchmark = task, benchmark
        self.facts = benchmark.task(task)
        self.layout = layout(task)
        self.time_limit = benchmark.time_limit(task) if time_limit is None else time_limit
        self.model = compile_scene(self.layout)
        self.data = mujoco.MjData(self.model)
        self.robot = Robot(self.model)
        scope = {thing.scope: thing.name for thing in self.layout.things if thing.scope}
        scope |= {floor.scope: floor.name for floor in self.layout.floors if floor.scope}
        scope[_AGENT_SCOPE] = AGENT
        self.world = World(self.model, self.data, list(scope.values()))
        self._toggles = _toggles(self.model, self.robot, scope.values())
        predicates = Predicates(self.world, self._toggles)
        entities = {name: self.world.entities[body] for name, body in scope.items()}
        self.goals = Goals(task, predicates, entities)
        self._travel = Travel(self.robot)
        self._observer = Observer(self.model, self.robot, benchmark, task, image_sizes, quality)
        self._viewer: Renderer | None = None
        self._viewer_size = (0, 0)
        self.instance_id: int | None = None
        self.steps = 0

    def reset(self, instance_id: int, *, start_noise_seed: int | None = None) -> Observation:
        """Start an episode on one instance.

        The instance depends on (benchmark seed, task, instance id) alone; `start_noise_seed` adds
        noise to the robot's start posture, for varied demonstrations.

        Raises:
            SimulationError: no valid start was found for this instance.
        """
        problems = ""
        for attempt in range(_ATTEMPTS):
            instance = sample_instance(
                self.layout, self.benchmark.seed, self.facts.index, instance_id, attempt
            )
            problems = self._place(instance)
            if not problems:
                break
        else:
            raise SimulationError(
                f"no valid start for instance {instance_id} of '{self.task}' in {_ATTEMPTS} "
                f"attempts; the last one failed because {problems}"
            )
        offsets = start_noise(self.benchmark.seed, self.facts.index, instance_id, start_noise_seed)
        self._begin(instance, offsets)
        self.instance_id, self.steps = instance_id, 0
        return self._observer.observe(self.data)

    def step(self, action: np.ndarray, *, observe: bool = True) -> Step:
        """Advance one control step.

        Args:
            action: float[23], absolute targets in the benchmark's order; clipped to its limits.
            observe: False leaves the observation empty and renders nothing.

        Raises:
            SimulationError: no episode was started, or the physics became unstable.
            HearthError: the action has another shape or is not finite.
        """
        if self.instance_id is None:
            raise SimulationError("step was called before reset: no episode has been started")
        self.robot.apply_action(self.data, action)
        mujoco.mj_step(self.model, self.data, SUBSTEPS)
        # mj_step leaves positions of bodies one substep behind the joints; images and goals and
        # proprioception must all show one and the same state.
        mujoco.mj_forward(self.model, self.data)
        self._check_stable()
        self.steps += 1
        for toggle in self._toggles.values():
            toggle.update(self.data)
        self.world.refresh()
        self._travel.update(self.data)
        terminated = self.goals.satisfied()
        truncated = not terminated and self.steps >= self.time_limit
        observation = self._observer.observe(self.data) if observe else {}
        return Step(observation, terminated, truncated)

    def metrics(self) -> dict[str, Any]:
        """The official metrics of the episode so far (q_score, distances, time)."""
        return official_metrics(
            self.goals.score(),
            self.steps,
            self._travel.distance,
            self.layout.reference_distance,
            self.facts.human_length_frames,
            self.benchmark.frames_per_second,
        )

    def goal_literals(self) -> list[GoalLiteral]:
        """Every ground literal of the goal: text, truth at the start, truth now."""
        return self.goals.literals()

    def frame(self, width: int, height: int) -> np.ndarray:
        """The video camera's view with shadows and smooth edges, uint8[height, width, 3]."""
        if self._viewer_size != (width, height):
            if self._viewer is not None:
                self._viewer.close()
            self._viewer = Renderer(self.model, width, height, VIDEO_QUALITY)
            self._viewer_size = (width, height)
        assert self._viewer is not None
        camera = camera_id(self.model, VIEWER_CAMERA)
        return np.ascontiguousarray(self._viewer.draw(self.data, camera, width, height))

    def close(self) -> None:
        """Release the renderers; the environment cannot be used afterwards."""
        self._observer.close()
        if self._viewer is not None:
            self._viewer.close()
            self._viewer, self._viewer_size = None, (0, 0)

    def _place(self, instance: Instance) -> str:
        """Put everything at its sampled place and let it settle; returns what is wrong, or ''."""
        mujoco.mj_resetData(self.model, self.data)
        for toggle in self._toggles.values():
            toggle.reset()
        for name, (x, y, z, yaw) in instance.poses.items():
            pose = (x, y, z, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))
            self.data.joint(name).qpos[:] = pose
        self._set_posture(instance.base, np.zeros(18))
        mujoco.mj_forward(self.model, self.data)
        depth = float(-self.data.contact.dist.min(initial=0.0))
        if depth > _PENETRATION_M:
            return f"things overlap by {depth * 1000:.1f} mm"
        mujoco.mj_step(self.model, self.data, _SETTLE_STEPS)
        mujoco.mj_forward(self.model, self.data)
        self.world.refresh()
        for name, pose in instance.poses.items():
            joint = self.data.joint(name)
            if np.linalg.norm(joint.qpos[:3] - pose[:3]) > _SETTLED_SHIFT_M:
                return f"'{name}' does not stay where it is put"
            if np.linalg.norm(joint.qvel[:3]) > _SETTLED_SPEED:
                return f"'{name}' does not come to rest"
        return self._crowded() or self._wrong_start()

    def _crowded(self) -> str:
        placed = [thing for thing in self.layout.movable if thing.scope]
        bounds = {
            thing.name: self.world.extent(self.world.entities[thing.name]) for thing in placed
        }
        for first, second in itertools.combinations(placed, 2):
            if first.group and first.group == second.group:
                continue
            (lower_1, upper_1), (lower_2, upper_2) = bounds[first.name], bounds[second.name]
            gap = np.maximum(np.maximum(lower_1 - upper_2, lower_2 - upper_1), 0.0)
            if np.linalg.norm(gap) < _FINGER_GAP_M:
                return f"'{first.name}' and '{second.name}' stand too close together"
        return ""

    def _wrong_start(self) -> str:
        unmet = self.goals.unmet_start_conditions()
        if unmet:
            return f"the start condition '{unmet[0]}' does not hold"
        self.goals.begin()
        for literal in self.goals.literals():
            if literal.initially and not literal.text.startswith("not "):
                return f"the goal literal '{literal.text}' holds already"
        agent = self.world.entities[AGENT]
        for name, entity in self.world.entities.items():
            if name != AGENT and self.world.touching(agent, entity):
                return f"the robot touches '{name}'"
        return ""

    def _begin(self, instance: Instance, offsets: np.ndarray) -> None:
        """Start at rest from the settled positions, so that no solver state leaks in."""
        settled = self.data.qpos.copy()
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = settled
        self._set_posture(instance.base, offsets)
        mujoco.mj_forward(self.model, self.data)
        self.world.refresh()
        self.goals.begin()
        self._travel.reset(self.data)

    def _set_posture(self, base: np.ndarray, offsets: np.ndarray) -> None:
        home = self.robot.home
        self.robot.set_joint_positions(
            self.data,
            base,
            home.trunk + offsets[0:4],
            home.left_arm + offsets[4:11],
            home.right_arm + offsets[11:18],
            home.grippers,
        )

    def _check_stable(self) -> None:
        # MuJoCo resets the state by itself when it diverges; an episode must not go on from that.
        worst = (
            mujoco.mjtWarning.mjWARN_BADQPOS,
            mujoco.mjtWarning.mjWARN_BADQVEL,
            mujoco.mjtWarning.mjWARN_BADQACC,
        )
        if any(self.data.warning[int(kind)].number for kind in worst):
            raise SimulationError(
                f"the physics of '{self.task}', instance {self.instance_id}, became unstable at "
                f"step {self.steps}"
            )


def _toggles(model: mujoco.MjModel, robot: Robot, bodies: Iterable[str]) -> dict[str, Toggle]:
    """The switch of every named object that has a button."""
    joints = np.flatnonzero(np.isin(model.jnt_qposadr, [*robot.finger_qpos.values()]))
    fingers = np.flatnonzero(np.isin(model.geom_bodyid, model.jnt_bodyid[joints]))
    joint = mujoco.mjtObj.mjOBJ_JOINT
    return {
        name: Toggle(model, name, fingers)
        for name in bodies
        if mujoco.mj_name2id(model, joint, f"{name}_button") >= 0
    }
