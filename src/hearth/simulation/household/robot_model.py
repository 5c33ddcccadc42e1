"""The robot's body: an R1Pro-like mobile manipulator generated from primitives.

Kinematics follow the Galaxea R1Pro: a planar base, a four-joint trunk (ankle, knee, hip, waist),
two seven-joint arms and parallel grippers. Joint limits are those of the BEHAVIOR action space.
All names live here once; :mod:`hearth.simulation.household.robot` resolves them to ids.
"""

from __future__ import annotations

import mujoco
import numpy as np

SIDES = ("left", "right")
BASE_JOINTS = ("base_x", "base_y", "base_yaw")
TRUNK_JOINTS = ("trunk_1", "trunk_2", "trunk_3", "trunk_4")
ARM_JOINTS = {side: tuple(f"{side}_arm_{i}" for i in range(1, 8)) for side in SIDES}
FINGER_JOINTS = {side: (f"{side}_finger_1", f"{side}_finger_2") for side in SIDES}
GRIPPER_ACTUATORS = {side: f"{side}_gripper" for side in SIDES}
CAMERAS = ("head", "left_wrist", "right_wrist")
HAND_SITES = {side: f"{side}_hand" for side in SIDES}
HAND_BODIES = {side: f"{side}_palm" for side in SIDES}
BASE_SITE = "base"
BASE_BODY = "robot_base"

CONTROL_RATE_HZ = 30
SUBSTEPS = 8
TIMESTEP_S = 1.0 / (CONTROL_RATE_HZ * SUBSTEPS)

BASE_VELOCITY_LIMITS = np.array([0.75, 0.75, 1.0])  # m/s, m/s, rad/s
TRUNK_LOWER = np.array([-1.1345, -2.7925, -1.8326, -3.0543])
TRUNK_UPPER = np.array([1.8326, 2.5307, 1.5708, 3.0543])
ARM_LOWER = {
    "left": np.array([-4.4506, -0.1745, -2.3562, -2.0944, -2.3562, -1.0472, -1.5708]),
    "right": np.array([-4.4506, -3.1416, -2.3562, -2.0944, -2.3562, -1.0472, -1.5708]),
}
ARM_UPPER = {
    "left": np.array([1.3090, 3.1416, 2.3562, 0.3491, 2.3562, 1.0472, 1.5708]),
    "right": np.array([1.3090, 0.1745, 2.3562, 0.3491, 2.3562, 1.0472, 1.5708]),
}
FINGER_TRAVEL_M = 0.05

_WHITE = (0.93, 0.93, 0.92, 1.0)
_GREY = (0.62, 0.64, 0.67, 1.0)
_DARK = (0.14, 0.15, 0.17, 1.0)
_X, _Y, _Z = (1, 0, 0), (0, 1, 0), (0, 0, 1)
# Robot geoms touch the scene (contype 1) but never each other: 2 & 1 == 0.
_ROBOT_CONTACT = {"contype": 2, "conaffinity": 1}

_ANKLE = (-0.06, 0.0, 0.32)
_SHIN_M = 0.38
_THIGH_M = 0.32
_WAIST_M = 0.08
_SHOULDER = (0.0, 0.19, 0.25)
_UPPER_ARM_M = 0.30
_FOREARM_M = 0.27
_WRIST_M = 0.06
_GRIP_M = 0.155


def configure_physics(spec: mujoco.MjSpec) -> None:
    """Set the solver options under which grasping by friction alone is reliable."""
    # Without this MjSpec would read every hinge range in degrees.
    spec.compiler.degree = False
    spec.option.timestep = TIMESTEP_S
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10.0
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST


def add_robot(spec: mujoco.MjSpec) -> None:
    """Add the robot to ``spec.worldbody`` at the origin, facing +x, and set its physics options.

    Adds bodies, 25 joints, 23 actuators (in action order), three cameras and three sites.
    """
    configure_physics(spec)
    base = spec.worldbody.add_body(name=BASE_BODY, gravcomp=1)
    slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
    for name, kind, axis in zip(BASE_JOINTS, (slide, slide, hinge), (_X, _Y, _Z), strict=True):
        base.add_joint(name=name, type=kind, axis=axis)
    base.add_site(name=BASE_SITE, size=[0.01] * 3, rgba=[0, 0, 0, 0])
    _cylinder(base, (0, 0, 0.035), (0, 0, 0.20), 0.25, _WHITE, 30.0)
    _cylinder(base, (0, 0, 0.20), (0, 0, 0.235), 0.21, _DARK, 2.0)
    _capsule(base, (-0.06, 0, 0.22), (-0.06, 0, 0.30), 0.075, _GREY, 4.0)
    chest = _add_trunk(base)
    for side in SIDES:
        _add_arm(chest, side)
    _add_actuators(spec)


def _add_trunk(base: mujoco.MjsBody) -> mujoco.MjsBody:
    """Ankle, knee, hip (pitch) and waist (yaw); the hip turns the other way, as on the R1Pro."""
    shin = _link(base, "shin", _ANKLE, TRUNK_JOINTS[0], _Y, (TRUNK_LOWER[0], TRUNK_UPPER[0]), 1.0)
    _capsule(shin, (0, 0, 0.02), (0, 0, _SHIN_M), 0.06, _WHITE, 5.0)
    thigh = _link(
        shin,
        "thigh",
        (0, 0, _SHIN_M),
        TRUNK_JOINTS[1],
        _Y,
        (TRUNK_LOWER[1], TRUNK_UPPER[1]),
        1.0,
    )
    _cylinder(thigh, (0, -0.075, 0), (0, 0.075, 0), 0.066, _DARK, 1.0)
    _capsule(thigh, (0, 0, 0.02), (0, 0, _THIGH_M), 0.058, _WHITE, 4.0)
    hip = _link(
        thigh,
        "hip",
        (0, 0, _THIGH_M),
        TRUNK_JOINTS[2],
        (0, -1, 0),
        (TRUNK_LOWER[2], TRUNK_UPPER[2]),
        0.8,
    )
    _cylinder(hip, (0, -0.07, 0), (0, 0.07, 0), 0.064, _DARK, 2.0)
    chest = _link(
        hip,
        "chest",
        (0, 0, _WAIST_M),
        TRUNK_JOINTS[3],
        _Z,
        (TRUNK_LOWER[3], TRUNK_UPPER[3]),
        0.5,
    )
    _capsule(chest, (0, -0.06, 0.05), (0, 0.06, 0.05), 0.075, _GREY, 2.0)
    _capsule(chest, (0, -0.085, 0.21), (0, 0.085, 0.21), 0.10, _WHITE, 6.0)
    _cylinder(chest, (0, 0, 0.30), (0, 0, 0.34), 0.035, _DARK, 0.3)
    _capsule(chest, (0.01, -0.045, 0.385), (0.01, 0.045, 0.385), 0.055, _WHITE, 1.0)
    # The head camera looks forward and down: from just above the horizon to the robot's own feet.
    chest.add_camera(
        name=CAMERAS[0],
        pos=[0.085, 0, 0.39],
        xyaxes=_looking_down(np.deg2rad(42)),
        fovy=90,
    )
    _box(chest, (0.055, 0, 0.39), (0.018, 0.05, 0.014), _DARK)
    return chest


def _add_arm(chest: mujoco.MjsBody, side: str) -> None:
    """Seven hinges: shoulder pitch, roll, yaw, elbow, forearm roll, wrist pitch, wrist roll.

    At zero the arm hangs straight down with the fingers pointing down, opening sideways.
    """
    sign = 1.0 if side == "left" else -1.0
    ranges = list(zip(ARM_LOWER[side], ARM_UPPER[side], strict=True))
    names = ARM_JOINTS[side]
    shoulder_at = (_SHOULDER[0], sign * _SHOULDER[1], _SHOULDER[2])
    pitch = _link(chest, f"{side}_shoulder", shoulder_at, names[0], _Y, ranges[0], 0.15)
    _capsule(pitch, (0, 0, 0), (0, sign * 0.03, 0), 0.062, _DARK, 1.0)
    roll = _link(pitch, f"{side}_roll", (0, sign * 0.03, 0), names[1], _X, ranges[1], 0.15)
    _capsule(roll, (0, 0, -0.01), (0, 0, -0.10), 0.052, _WHITE, 1.0)
    upper = _link(roll, f"{side}_upper_arm", (0, 0, -0.12), names[2], _Z, ranges[2], 0.1)
    _capsule(upper, (0, 0, -0.02), (0, 0, 0.12 - _UPPER_ARM_M), 0.045, _GREY, 1.0)
    elbow = _link(
        upper,
        f"{side}_elbow",
        (0, 0, 0.12 - _UPPER_ARM_M),
        names[3],
        _Y,
        ranges[3],
        0.1,
    )
    _cylinder(elbow, (0, -0.045, 0), (0, 0.045, 0), 0.047, _DARK, 0.5)
    _capsule(elbow, (0, 0, -0.03), (0, 0, -0.12), 0.042, _WHITE, 0.6)
    forearm = _link(elbow, f"{side}_forearm", (0, 0, -0.13), names[4], _Z, ranges[4], 0.06)
    _capsule(forearm, (0, 0, -0.02), (0, 0, 0.13 - _FOREARM_M), 0.037, _WHITE, 0.6)
    wrist = _link(
        forearm,
        f"{side}_wrist",
        (0, 0, 0.13 - _FOREARM_M),
        names[5],
        _Y,
        ranges[5],
        0.04,
    )
    _capsule(wrist, (0, 0, -0.01), (0, 0, -_WRIST_M), 0.032, _DARK, 0.3)
    palm = _link(wrist, HAND_BODIES[side], (0, 0, -_WRIST_M), names[6], _X, ranges[6], 0.04)
    _add_hand(palm, side)


def _add_hand(palm: mujoco.MjsBody, side: str) -> None:
    """Palm, wrist camera and two sliding fingers; the hand site's +x points along the fingers."""
    _box(palm, (0, 0, -0.06), (0.026, 0.062, 0.03), _GREY, mass=0.3)
    _box(palm, (0.042, 0, -0.055), (0.016, 0.03, 0.014), _DARK)
    # Columns: x along the fingers, y the opening direction, z the camera's side of the hand.
    palm.add_site(
        name=HAND_SITES[side],
        pos=[0, 0, -_GRIP_M],
        quat=[np.sqrt(0.5), 0, np.sqrt(0.5), 0],
        size=[0.01] * 3,
        rgba=[0, 0, 0, 0],
    )
    tilt = np.deg2rad(25)
    palm.add_camera(
        name=f"{side}_wrist",
        pos=[0.07, 0, -0.075],
        xyaxes=[0, -1, 0, np.cos(tilt), 0, -np.sin(tilt)],
        fovy=90,
    )
    for index, direction in enumerate((1.0, -1.0)):
        finger = palm.add_body(
            name=f"{side}_finger_{index + 1}",
            pos=[0, direction * 0.008, -0.09],
            gravcomp=1,
        )
        finger.add_joint(
            name=FINGER_JOINTS[side][index],
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=[0, direction, 0],
            range=[0.0, FINGER_TRAVEL_M],
            damping=10.0,
            armature=0.05,
        )
        _box(
            finger,
            (0, 0, -0.04),
            (0.014, 0.008, 0.045),
            _DARK,
            mass=0.08,
            friction=[1.5, 0.02, 0.001],
            condim=4,
            priority=1,
        )


def _add_actuators(spec: mujoco.MjSpec) -> None:
    """23 actuators in action order; both fingers of a hand are coupled by a joint equality."""
    for name, gain, force in zip(BASE_JOINTS, (4000, 4000, 1500), (3000, 3000, 1000), strict=True):
        _actuator(spec, name, name, force).set_to_velocity(kv=gain)
    for index, name in enumerate(TRUNK_JOINTS):
        _actuator(spec, name, name, 1500).set_to_position(
            kp=(12000, 12000, 8000, 4000)[index], dampratio=1.0
        )
    for side in SIDES:
        for index, name in enumerate(ARM_JOINTS[side]):
            _actuator(spec, name, name, 120 if index < 4 else 60).set_to_position(
                kp=(900, 900, 600, 600, 250, 200, 200)[index], dampratio=1.0
            )
        first, second = FINGER_JOINTS[side]
        _actuator(spec, GRIPPER_ACTUATORS[side], first, 40).set_to_position(kp=800, kv=40)
        equality = spec.add_equality(name=f"{side}_finger_coupling")
        equality.type = mujoco.mjtEq.mjEQ_JOINT
        equality.objtype = mujoco.mjtObj.mjOBJ_JOINT
        equality.name1, equality.name2 = first, second
        equality.data[:5] = [0.0, 1.0, 0.0, 0.0, 0.0]


def _actuator(spec: mujoco.MjSpec, name: str, joint: str, force: float) -> mujoco.MjsActuator:
    """An empty actuator on ``joint`` with a symmetric force limit [N or N m]."""
    return spec.add_actuator(
        name=name,
        target=joint,
        trntype=mujoco.mjtTrn.mjTRN_JOINT,
        forcelimited=True,
        forcerange=[-force, force],
    )


def _link(parent, name, position, joint, axis, limits, armature) -> mujoco.MjsBody:
    """A gravity-compensated child body on one limited hinge [rad]."""
    body = parent.add_body(name=name, pos=position, gravcomp=1)
    body.add_joint(
        name=joint,
        type=mujoco.mjtJoint.mjJNT_HINGE,
        axis=axis,
        range=limits,
        limited=True,
        armature=armature,
        damping=1.0,
    )
    return body


def _looking_down(pitch: float) -> list[float]:
    """``xyaxes`` of a camera that looks along +x, tilted down by ``pitch`` [rad]."""
    return [0, -1, 0, np.sin(pitch), 0, np.cos(pitch)]


def _capsule(body, start, end, radius, colour, mass) -> None:
    _segment(body, mujoco.mjtGeom.mjGEOM_CAPSULE, start, end, radius, colour, mass)


def _cylinder(body, start, end, radius, colour, mass) -> None:
    _segment(body, mujoco.mjtGeom.mjGEOM_CYLINDER, start, end, radius, colour, mass)


def _segment(body, kind, start, end, radius, colour, mass) -> None:
    body.add_geom(
        type=kind,
        fromto=[*start, *end],
        size=[radius, 0, 0],
        rgba=colour,
        mass=mass,
        **_ROBOT_CONTACT,
    )


def _box(body, centre, half_size, colour, mass=0.05, **contact) -> None:
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=centre,
        size=half_size,
        rgba=colour,
        mass=mass,
        **_ROBOT_CONTACT,
        **contact,
    )
