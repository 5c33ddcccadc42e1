"""Geometric questions about a simulated scene: extents, contacts and rays between objects."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from hearth.core.errors import SimulationError

AGENT = "robot_base"


@dataclass(frozen=True, eq=False)
class Entity:
    """One object: a body with all its descendants.

    Attributes:
        name: the root body's name.
        geoms: ids of the geoms that can touch something.
        hinges: ids of the hinge joints inside the object (doors).
    """

    name: str
    body: int
    geoms: np.ndarray
    hinges: np.ndarray

    @property
    def is_agent(self) -> bool:
        return self.name == AGENT


class World:
    """A model and its state, seen as named objects. Call `refresh` after every change of state.

    Raises:
        SimulationError: a name has no body in the model.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, names: list[str]) -> None:
        self.model, self.data = model, data
        # -1 for geoms of what no activity names: walls, rugs, other furniture.
        self._owner = np.full(model.ngeom, -1)
        self.entities: dict[str, Entity] = {}
        for index, name in enumerate(names):
            entity = _entity(model, name)
            self._owner[entity.geoms] = index
            self.entities[name] = entity
        self._index = {name: index for index, name in enumerate(names)}
        self._touching: set[tuple[int, int]] | None = None

    def refresh(self) -> None:
        """Forget what was read from the former state."""
        self._touching = None

    def touching(self, first: Entity, second: Entity) -> bool:
        """Whether any two geoms of the objects are in contact."""
        if self._touching is None:
            contact = self.data.contact
            owners = self._owner[contact.geom[contact.dist <= 0.0]]
            self._touching = {(int(a), int(b)) for a, b in owners}
        a, b = self._index[first.name], self._index[second.name]
        return (a, b) in self._touching or (b, a) in self._touching

    def extent(self, entity: Entity) -> tuple[np.ndarray, np.ndarray]:
        """Axis-aligned bounds of an object [m]: lower [3] and upper [3] corner."""
        geoms = entity.geoms
        rotation = self.data.geom_xmat[geoms].reshape(-1, 3, 3)
        local = self.model.geom_aabb[geoms]
        centre = self.data.geom_xpos[geoms] + np.einsum("nij,nj->ni", rotation, local[:, :3])
        half = np.einsum("nij,nj->ni", np.abs(rotation), local[:, 3:])
        return (centre - half).min(axis=0), (centre + half).max(axis=0)

    def centre(self, entity: Entity) -> np.ndarray:
        """The middle of an object's bounds [3]; for the robot its base, for it may lean far out."""
        if entity.is_agent:
            return self.data.xpos[entity.body] + (0.0, 0.0, 0.1)
        lower, upper = self.extent(entity)
        return (lower + upper) / 2

    def ray_hits(self, origin: np.ndarray, direction: np.ndarray, entity: Entity) -> bool:
        """Whether a ray from `origin` along `direction` meets the object anywhere."""
        data, model = self.data, self.model
        for geom in entity.geoms:
            distance = mujoco.mju_rayGeom(
                data.geom_xpos[geom],
                data.geom_xmat[geom],
                model.geom_size[geom],
                origin,
                direction,
                int(model.geom_type[geom]),
            )
            if distance >= 0:
                return True
        return False

    def openness(self, entity: Entity) -> float:
        """The largest opened fraction of the object's doors, in [0, 1].

        Raises:
            SimulationError: the object has no door.
        """
        if not entity.hinges.size:
            raise SimulationError(f"'{entity.name}' has no hinged door, so it cannot be open")
        lower, upper = self.model.jnt_range[entity.hinges].T
        position = self.data.qpos[self.model.jnt_qposadr[entity.hinges]]
        return float(((position - lower) / (upper - lower)).max())


def _entity(model: mujoco.MjModel, name: str) -> Entity:
    root = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, name)
    if root < 0:
        raise SimulationError(f"the scene has no body '{name}'")
    bodies = {root}
    for body in range(root + 1, model.nbody):
        if int(model.body_parentid[body]) in bodies:
            bodies.add(body)
    members = np.array(sorted(bodies))
    solid = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    geoms = np.flatnonzero(np.isin(model.geom_bodyid, members) & solid)
    is_hinge = model.jnt_type == int(mujoco.mjtJoint.mjJNT_HINGE)
    hinges = np.flatnonzero(np.isin(model.jnt_bodyid, members) & is_hinge)
    return Entity(name, root, geoms, hinges)
