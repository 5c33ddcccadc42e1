"""Simulators behind one interface: the embedded household benchmark and external evaluators."""
