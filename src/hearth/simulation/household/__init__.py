"""The embedded benchmark: BEHAVIOR activities in MuJoCo, with goals evaluated by bddl."""

from hearth.simulation.household.graphics import select_backend

# Python runs this before any module of the package imports mujoco, which reads the choice once.
select_backend()
