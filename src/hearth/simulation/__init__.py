"""Simulators behind one environment protocol."""
