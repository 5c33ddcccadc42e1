"""Reading and commanding the robot: 23-D actions in, 256-D proprioception out."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from hearth.core.errors import SimulationError
from hearth.simulation.household import robot_model as names
from hearth.simulation.household.robot_model import (
    CAMERAS,
    CONTROL_RATE_HZ,
    SIDES,
    SUBSTEPS,
    TIMESTEP_S,
    add_robot,
)

__all__ = [
    "ACTION_LOWER",
    "ACTION_SIZE",
    "ACTION_SLICES",
    "ACTION_UPPER",
    "CAMERAS",
    "CONTROL_RATE_HZ",
    "HOME",
    "PROPRIOCEPTION_SIZE",
    "SIDES",
    "SUBSTEPS",
    "TIMESTEP_S",
    "Posture",
    "Robot",
    "add_robot",
]

ACTION_SIZE = 23
PROPRIOCEPTION_SIZE = 256
ACTION_SLICES = {
    "base": slice(0, 3),
    "trunk": slice(3, 7),
    "left_arm": slice(7, 14),
    "left_gripper": slice(14, 15),
    "right_arm": slice(15, 22),
    "right_gripper": slice(22, 23),
}
ACTION_LOWER = np.concatenate(
    [
        -names.BASE_VELOCITY_LIMITS,
        names.TRUNK_LOWER,
        names.ARM_LOWER["left"],
        [-1.0],
        names.ARM_LOWER["right"],
        [-1.0],
    ]
)
ACTION_UPPER = np.concatenate(
    [
        names.BASE_VELOCITY_LIMITS,
        names.TRUNK_UPPER,
        names.ARM_UPPER["left"],
        [1.0],
        names.ARM_UPPER["right"],
        [1.0],
    ]
)

# Start of each hand's block in the 2025 proprioception vector; both blocks have one layout.
_HAND_BLOCK = {"left": 158, "right": 197}


@dataclass(frozen=True)
class Posture:
    """Joint positions [rad] of trunk and arms, and gripper openings in [-1, 1] (1 = open)."""

    trunk: np.ndarray
    left_arm: np.ndarray
    right_arm: np.ndarray
    grippers: tuple[float, float]


# Knees slightly bent, chest upright, both hands held forward above table height and in view.
HOME = Posture(
    trunk=np.array([0.60, -1.00, -0.50, 0.0]),
    left_arm=np.array([0.30, 0.25, 0.0, -1.95, 0.0, 0.0, 0.0]),
    right_arm=np.array([0.30, -0.25, 0.0, -1.95, 0.0, 0.0, 0.0]),
    grippers=(1.0, 1.0),
)


class Robot:
    """Resolved ids of the robot inside one compiled model.

    Raises:
        SimulationError: the model does not contain the robot.
    """

    home = HOME

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        self.base_qpos, self.base_dof = self._joints(names.BASE_JOINTS)
        self.trunk_qpos, self.trunk_dof = self._joints(names.TRUNK_JOINTS)
        self.arm_qpos, self.arm_dof = {}, {}
        self.finger_qpos, self.finger_dof = {}, {}
        for side in SIDES:
            self.arm_qpos[side], self.arm_dof[side] = self._joints(names.ARM_JOINTS[side])
            self.finger_qpos[side], self.finger_dof[side] = self._joints(names.FINGER_JOINTS[side])
        actuators = [
            *names.BASE_JOINTS,
            *names.TRUNK_JOINTS,
            *names.ARM_JOINTS["left"],
            names.GRIPPER_ACTUATORS["left"],
            *names.ARM_JOINTS["right"],
            names.GRIPPER_ACTUATORS["right"],
        ]
        kind = mujoco.mjtObj.mjOBJ_ACTUATOR
        self.actuators = np.array([self._id(kind, name) for name in actuators])
        site = mujoco.mjtObj.mjOBJ_SITE
        self.hand_sites = {side: self._id(site, names.HAND_SITES[side]) for side in SIDES}
        self.base_site = self._id(site, names.BASE_SITE)

    def apply_action(self, data: mujoco.MjData, action: np.ndarray) -> None:
        """Write one control step's actuator targets.

        Args:
            data: simulator state; only ``ctrl`` is written.
            action: ``[23]``; base velocity in the robot's own frame [m/s, m/s, rad/s], absolute
                joint targets [rad], grippers in [-1, 1] (1 = open). Clipped to the limits.

        Raises:
            SimulationError: wrong shape or a value that is not finite.
        """
        action = np.asarray(action, dtype=np.float64)
        if action.shape != (ACTION_SIZE,) or not np.isfinite(action).all():
            raise SimulationError(
                f"action must be {ACTION_SIZE} finite numbers, got shape {action.shape}: {action}"
            )
        target = np.clip(action, ACTION_LOWER, ACTION_UPPER)
        target[:2] = _rotation(self.base_pose(data)[2]) @ target[:2]
        for side in SIDES:
            gripper = ACTION_SLICES[f"{side}_gripper"]
            target[gripper] = _finger_position(target[gripper])
        data.ctrl[self.actuators] = target

    def proprioception(self, data: mujoco.MjData) -> np.ndarray:
        """The 2025 evaluator's vector, float32 ``[256]``, from a state after ``mj_forward``.

        Poses of the hands are in the base frame, quaternions x, y, z, w, base and body velocities
        in the robot's own frame. Vertical and tilt joints of the base do not exist here: zero.
        """
        values = np.zeros(PROPRIOCEPTION_SIZE)
        x, y, yaw = self.base_pose(data)
        base_velocity = self.base_velocity(data)
        position, velocity, effort = self._all_joints(data, base_velocity)
        values[0:28], values[28:56], values[56:84] = (
            position,
            np.sin(position),
            np.cos(position),
        )
        values[84:112], values[112:140] = velocity, effort
        values[140:143] = x, y, 0.0
        values[143:146], values[146:149] = (1, 1, np.cos(yaw)), (0, 0, np.sin(yaw))
        values[149:152] = yaw, np.cos(yaw), np.sin(yaw)
        values[152:154], values[157] = base_velocity[:2], base_velocity[2]
        for side in SIDES:
            start = _HAND_BLOCK[side]
            values[start : start + 39] = self._hand_block(data, side)
        values[236:240] = data.qpos[self.trunk_qpos]
        values[240:244] = data.qvel[self.trunk_dof]
        base = np.array([x, y, yaw])
        values[244:247], values[247:250], values[250:253] = (
            base,
            np.sin(base),
            np.cos(base),
        )
        values[253:256] = base_velocity
        return values.astype(np.float32)

    def set_joint_positions(
        self,
        data: mujoco.MjData,
        base_pose: np.ndarray,
        trunk: np.ndarray,
        left_arm: np.ndarray,
        right_arm: np.ndarray,
        grippers: tuple[float, float],
    ) -> None:
        """Place the robot at rest and command it to stay there.

        Args:
            data: simulator state; ``qpos``, ``qvel`` and ``ctrl`` of the robot are written.
            base_pose: ``[3]`` x, y [m] and yaw [rad] in the world.
            trunk, left_arm, right_arm: joint positions [rad], clipped to the limits.
            grippers: (left, right) openings in [-1, 1].
        """
        joints = np.concatenate([trunk, left_arm, [grippers[0]], right_arm, [grippers[1]]])
        action = np.clip(np.concatenate([np.zeros(3), joints]), ACTION_LOWER, ACTION_UPPER)
        data.qpos[self.base_qpos] = base_pose
        data.qpos[self.trunk_qpos] = action[ACTION_SLICES["trunk"]]
        for side in SIDES:
            data.qpos[self.arm_qpos[side]] = action[ACTION_SLICES[f"{side}_arm"]]
            opening = action[ACTION_SLICES[f"{side}_gripper"]]
            data.qpos[self.finger_qpos[side]] = _finger_position(opening)
            data.qvel[self.arm_dof[side]] = 0.0
            data.qvel[self.finger_dof[side]] = 0.0
        data.qvel[self.base_dof] = 0.0
        data.qvel[self.trunk_dof] = 0.0
        self.apply_action(data, action)

    def base_pose(self, data: mujoco.MjData) -> np.ndarray:
        """``[3]``: x, y [m] and yaw [rad] in the world."""
        return data.qpos[self.base_qpos].copy()

    def base_velocity(self, data: mujoco.MjData) -> np.ndarray:
        """``[3]``: forward, leftward [m/s] and yaw [rad/s] velocity in the robot's own frame."""
        velocity = data.qvel[self.base_dof].copy()
        velocity[:2] = _rotation(-self.base_pose(data)[2]) @ velocity[:2]
        return velocity

    def hand_pose(self, data: mujoco.MjData, side: str) -> tuple[np.ndarray, np.ndarray]:
        """World position ``[3]`` [m] and rotation ``[3, 3]`` of the site between the fingers."""
        site = self.hand_sites[side]
        return data.site_xpos[site].copy(), data.site_xmat[site].reshape(3, 3).copy()

    def gripper(self, data: mujoco.MjData, side: str) -> float:
        """Opening of one gripper in [-1, 1]: the finger sum mapped from [0, 0.1] m."""
        return float(data.qpos[self.finger_qpos[side]].sum() / names.FINGER_TRAVEL_M - 1.0)

    def _hand_block(self, data: mujoco.MjData, side: str) -> np.ndarray:
        """``[39]``: arm qpos, sin, cos, qvel, hand position, quaternion, finger qpos, qvel."""
        arm = data.qpos[self.arm_qpos[side]]
        position, rotation = self.hand_pose(data, side)
        base = data.site_xmat[self.base_site].reshape(3, 3)
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, (base.T @ rotation).ravel())
        return np.concatenate(
            [
                arm,
                np.sin(arm),
                np.cos(arm),
                data.qvel[self.arm_dof[side]],
                base.T @ (position - data.site_xpos[self.base_site]),
                quaternion[[1, 2, 3, 0]],
                data.qpos[self.finger_qpos[side]],
                data.qvel[self.finger_dof[side]],
            ]
        )

    def _all_joints(self, data: mujoco.MjData, base_velocity: np.ndarray):
        """Positions, velocities, efforts ``[28]``: base (6), trunk, arms interleaved, fingers."""
        arms = np.stack([self.arm_qpos["left"], self.arm_qpos["right"]], axis=1).ravel()
        qpos = np.concatenate(
            [self.trunk_qpos, arms, self.finger_qpos["left"], self.finger_qpos["right"]]
        )
        arms = np.stack([self.arm_dof["left"], self.arm_dof["right"]], axis=1).ravel()
        dofs = np.concatenate(
            [self.trunk_dof, arms, self.finger_dof["left"], self.finger_dof["right"]]
        )
        position, velocity, effort = np.zeros(28), np.zeros(28), np.zeros(28)
        planar = [0, 1, 5]
        position[planar], position[6:] = self.base_pose(data), data.qpos[qpos]
        velocity[planar], velocity[6:] = base_velocity, data.qvel[dofs]
        effort[planar] = data.qfrc_actuator[self.base_dof]
        effort[6:] = data.qfrc_actuator[dofs]
        return position, velocity, effort

    def _joints(self, joints: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Addresses of the joints in ``qpos`` and in ``qvel``."""
        ids = [self._id(mujoco.mjtObj.mjOBJ_JOINT, name) for name in joints]
        return self.model.jnt_qposadr[ids].copy(), self.model.jnt_dofadr[ids].copy()

    def _id(self, kind: mujoco.mjtObj, name: str) -> int:
        found = mujoco.mj_name2id(self.model, kind, name)
        if found < 0:
            raise SimulationError(
                f"the model has no robot element named {name!r}; call add_robot first"
            )
        return int(found)


def _rotation(yaw: float) -> np.ndarray:
    """Planar rotation matrix ``[2, 2]``."""
    return np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])


def _finger_position(opening: np.ndarray) -> np.ndarray:
    """Finger slide position [m] of a gripper opening in [-1, 1]."""
    return (opening + 1.0) / 2.0 * names.FINGER_TRAVEL_M
