"""The 3D scene of one session: numpy and viser, no torch; knows nothing of models."""
