"""The embedded household simulator: MuJoCo scenes, bddl goals and scripted experts."""
